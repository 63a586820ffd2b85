// What went wrong last with each partner, in each direction, for `fedctl partner show` and
// `fedctl streams`. One of each shard's edge. Bounded: a partner that is listed by name always
// has a row, of the others the oldest gives way.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/time.hpp"

namespace fedgate::rules {
class Snapshot;
}

namespace fedgate::edge {

enum class FailureKind : std::uint8_t {
    kCertificate,          // theirs was refused
    kTls,                  // the handshake failed, or no TLS where it is required
    kSasl,                 // EXTERNAL was refused, by us or by them
    kDialback,             // a key was refused, or could not be verified
    kDns,                  // no name server answered, or not validly; or no such domain
    kUnreachable,          // no target answered, or in time
    kStreamErrorSent,      // `text` has the condition
    kStreamErrorReceived,  // `text` has the condition
};

[[nodiscard]] const char* name_of(FailureKind);  // "certificate", "tls", ... "stream error sent"

struct LastFailure {
    std::string their;
    bool inbound = false;  // on a stream that they, or somebody who says so, opened to us
    FailureKind kind = FailureKind::kUnreachable;
    WallTime at{};
    std::string peer;         // address:port; empty: none was reached
    std::string text;         // a sentence for the administrator, without a full stop
    std::uint64_t count = 0;  // failures of this partner in this direction since the start
};

class Failures {
public:
    // Fills `count` itself. A domain that is nobody's partner leaves no row.
    void note(const rules::Snapshot&, LastFailure);
    // The rules have changed: forgets those who are no partners any more.
    void recheck(const rules::Snapshot&);

    [[nodiscard]] std::vector<LastFailure> rows() const;
    // Why the last stream of ours to them failed; empty: not known.
    [[nodiscard]] Bytes why(Bytes their) const;
    [[nodiscard]] std::size_t count() const { return rows_.size(); }

private:
    void make_room(const rules::Snapshot&);

    std::map<std::pair<std::string, bool>, LastFailure> rows_;  // by their domain and direction
};

}  // namespace fedgate::edge
