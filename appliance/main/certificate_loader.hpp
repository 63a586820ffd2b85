// Reads certificates, keys, roots and revocation lists for all shards, and again when their files
// change. A part that can't be used is left as it was before, and said. Thread: the control thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "appliance/edge/certificates.hpp"
#include "appliance/main/expiry.hpp"
#include "appliance/main/file_watch.hpp"
#include "core/rules/snapshot.hpp"
#include "core/run/log.hpp"
#include "net/tls.hpp"

namespace fedgate {

// Of one shard: contexts are not shared between threads. A part that is null keeps the one before.
struct ShardTls {
    edge::Certificates edge;  // generation 0: nothing new at all
    std::unique_ptr<net::TlsContext> sip;
    std::unique_ptr<net::TlsContext> internal;  // where one role is on other machines
};

class CertificateLoader {
public:
    explicit CertificateLoader(Log& log) : log_(log) {}

    // Other files than those of the last load(), or others in them, or the time of the next ones
    // (tls.*.next) has come. Costs a look at each.
    [[nodiscard]] bool is_due(const rules::Snapshot&, WallTime now);
    // For so many shards. fault() says what could not be used; it is logged too.
    [[nodiscard]] std::vector<ShardTls> load(const rules::Snapshot&, std::uint32_t shards,
                                             WallTime now);
    [[nodiscard]] const std::string& fault() const { return fault_; }
    // What tls.internal.certificate calls this machine: a name that the topology has, else its
    // first one. Empty: none.
    [[nodiscard]] const std::string& internal_name() const { return internal_name_; }

    // By what other machines of ours are judged. Null: nobody is good; none is revoked.
    [[nodiscard]] const net::TrustStore* internal_roots() const { return internal_roots_.get(); }
    [[nodiscard]] const net::RevocationLists* internal_revoked() const {
        return internal_revoked_.get();
    }

    // What load() would complain about, now or when the next pairs' time has come, without a word
    // in the log.
    [[nodiscard]] static std::string fault_of(const rules::Snapshot&, WallTime now);
    // Names that our certificates lack, one sentence each.
    [[nodiscard]] static std::vector<std::string> missing_names(const rules::Snapshot&,
                                                                WallTime now);

    // What is in use.
    struct Expiry {
        std::string file;
        std::string purposes;  // `external`, or several with commas
        WallTime at{};
    };
    [[nodiscard]] const std::vector<Expiry>& expiries() const { return expiries_; }

    // What an administrator should do something about soon, one sentence each: certificates that
    // expire, lists that are out of date. tell() logs the lists once a day, and of certificates
    // that so many days are left, once for each: then daily that they have expired.
    [[nodiscard]] std::vector<std::string> remarks(WallTime now) const;
    void tell(WallTime now);

private:
    using Roots = std::shared_ptr<const net::TrustStore>;
    using Lists = std::shared_ptr<const net::RevocationLists>;

    // Of the process, whatever a snapshot says later: core.roles acts at the next start.
    struct Roles {
        bool edge = true;
        bool gateway = true;
        bool joined = false;
        [[nodiscard]] bool use_link() const { return !edge || !gateway || joined; }
    };

    // Everything that load() reads; sorted.
    [[nodiscard]] std::vector<std::string> files_of(const rules::Snapshot&) const;
    void complain(const std::string& what);
    Roots roots_of(const std::string& path);
    void replace_roots(Roots&, const std::string& path);
    void load_lists(const std::vector<std::string>& paths, Lists&);
    [[nodiscard]] std::vector<std::pair<std::string, WallTime>> old_lists(WallTime now) const;
    [[nodiscard]] bool find_credential(const rules::Snapshot&, net::TlsCredential&);
    void note_expiry(const std::string& path, const char* purpose);
    void tell_expiries(WallTime now);
    void note_names(const rules::Snapshot&);
    void note_internal_name(const rules::Snapshot&);
    [[nodiscard]] std::vector<std::string> name_remarks() const;

    Log& log_;
    Roles roles_;
    FileWatch files_;
    bool legacy_ = false;  // a partner has legacy_tls
    std::string fault_;
    std::uint64_t generation_ = 0;
    std::uint64_t looked_at_ = 0;         // the rules of this generation name what is watched
    std::map<std::string, Roots> roots_;  // by path; what could be read last
    Roots external_roots_;
    Roots sip_roots_;
    Roots internal_roots_;
    Lists revoked_;
    Lists internal_revoked_;
    std::vector<Expiry> expiries_;
    ExpiryNotices notices_;                                       // by file
    WallTime now_{};                                              // of the last load()
    std::vector<std::pair<std::string, std::string>> not_named_;  // domain of ours, and why not
    std::string internal_name_;
    std::string internal_unknown_;  // why others don't know us by that name
    net::PemSource self_signed_certificate_;
    net::PemSource self_signed_key_;
    WallTime told_at_{};
};

}  // namespace fedgate
