// The catalogue of everything that can be set: one row a key, from which the parser, the checks,
// `fedctl sysctl -d`, the man page and the tests are made. Immutable, any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fedgate::config {

constexpr int kCoresMax = 256;  // of core.threads

enum class Type : std::uint8_t {
    kBool,  // yes no (on off true false 1 0)
    kInteger,
    kDuration,  // 10us 5ms 60s 2min 1h; a bare number is seconds
    kSize,      // 4096 64KiB 4MiB 1GiB; a bare number is bytes
    kRate,      // 60/min 2000/s 512KiB/s none
    kEnum,
    kEnumList,
    kString,
    kPath,  // absolute
    kPathList,
    kFingerprintList,  // SHA-256 in hexadecimal, colons or not
    kDomain,
    kDomainList,
    kPatternList,  // domains, and *.domains
    kDenyList,     // the same, each with an end or without
    kHostPort,
    kHostPortList,
    kAddress,
    kAddressList,
    kNetworkList,
    kSipListenList,
    kSipUriList,
    kCpuSet,  // 0-3,8
};

// When a change takes effect.
enum class Apply : std::uint8_t {
    kLive,      // within a second, everywhere
    kNew,       // for new connections and conversations
    kListener,  // the listener is opened anew; established connections stay
    kRestart,   // at the next start
};

// Whose a value is. What is committed of the pool's is published to every node, and is the same
// everywhere; what is a node's own stays there.
enum class Scope : std::uint8_t {
    kPool,  // partners, policies, domains, the topology, and how they are treated
    kNode,  // of one machine: its addresses, files, threads, log; who it trusts; and every secret
};

struct Key {
    // `xmpp.listen`, or with one instance part: `partner/*/tls`, `core.*.cpu`.
    std::string_view name;
    Type type;
    Apply apply;
    std::string_view unit;  // what a bare number counts, or what the text is
    std::int64_t
        minimum;  // of numbers, in base units (ns, bytes, count); of texts: bytes; of lists: items
    std::int64_t maximum;
    std::string_view fallback;  // the default, as one would type it
    std::string_view choices;   // kEnum, kEnumList: the words, blanks between
    std::string_view description;
    bool secret = false;  // never printed

    [[nodiscard]] bool is_pattern() const { return name.find('*') != std::string_view::npos; }
    [[nodiscard]] std::string_view root() const { return name.substr(0, name.find_first_of("./")); }
};

[[nodiscard]] std::span<const Key> keys();
[[nodiscard]] std::string_view name_of(Type);
[[nodiscard]] std::string_view name_of(Apply);
[[nodiscard]] Scope scope_of(const Key&);
[[nodiscard]] std::string_view name_of(Scope);
// The instance of this root whose values hold for all others that have none of their own:
// `partner/default/tls`, `core.*.cpu`. Empty: there is none.
[[nodiscard]] std::string_view template_of(std::string_view root);

// A key as typed, resolved: `partner.example/org.tls` and `partner/example.org/tls` are the same,
// as are `core.3.cpu` and `core/3/cpu`.
struct Path {
    const Key* key = nullptr;
    std::string instance;  // normalised (A-label, lower case); empty without a `*`
    std::string name;      // canonical: `xmpp.listen`, `partner/example.org/tls`, `core.3.cpu`
};

// False: no such key, or an instance part that can't be; `why` says so, with the nearest key.
[[nodiscard]] bool resolve(std::string_view typed, Path& path, std::string& why);

// Names of the catalogue that look like `typed`, best first, at most three.
[[nodiscard]] std::vector<std::string> nearest(std::string_view typed);

}  // namespace fedgate::config
