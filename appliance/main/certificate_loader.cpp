#include "appliance/main/certificate_loader.hpp"

#include <algorithm>
#include <iterator>
#include <unistd.h>

#include "core/base/file.hpp"
#include "net/certificate.hpp"
#include "net/der.hpp"
#include "net/revocation.hpp"
#include "xml/certificate.hpp"

namespace fedgate {

namespace {

constexpr unsigned kSelfSignedDays = 365;
constexpr auto kExpiryNotice = std::chrono::days(kExpiryDays[0]);
constexpr Duration kTellEvery = std::chrono::days(1);

// Empty where neither the administrator nor the system has any: then no chain is valid.
std::string roots_or_system(const std::string& configured) {
    constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";
    if (!configured.empty() || access(kSystemRoots, R_OK) != 0) return configured;
    return kSystemRoots;
}

// Towards SIP the external files serve as well, where it has none of its own.
std::string sip_roots(const rules::Settings& settings) {
    return settings.tls_sip.ca.empty() ? roots_or_system(settings.tls_external.ca)
                                       : settings.tls_sip.ca;
}

net::TlsCredential credential_of(const rules::TlsFiles& files) {
    return {{files.certificate, {}}, {files.key, {}}};
}

std::vector<std::string> copies(const std::vector<Bytes>& views) {
    return {views.begin(), views.end()};
}

std::string expiry_text(WallTime end, WallTime now) {
    if (end < now) return " expired on " + readable_day(end);
    const std::int64_t days = days_between(now, end);
    return " expires in " + std::to_string(days) + (days == 1 ? " day, on " : " days, on ") +
           readable_day(end);
}

// Does a pair that was scheduled take over behind `before`, and by `now`?
bool takes_over_between(const rules::Settings& settings, WallTime before, WallTime now) {
    const auto takes_over = [&](const rules::TlsFiles& files) {
        return files.next && before < files.next->from && files.next->from <= now;
    };
    return takes_over(settings.tls_external) || takes_over(settings.tls_internal) ||
           takes_over(settings.tls_sip);
}

bool wants_legacy(const rules::Snapshot& rules) {
    return std::ranges::any_of(rules.partners(), &rules::Partner::legacy_tls);
}

}  // namespace

// Each role reads what it uses, and nothing else: keys stay where they are needed.
std::vector<std::string> CertificateLoader::files_of(const rules::Snapshot& rules) const {
    const rules::Settings& settings = rules.settings;
    std::vector<std::string> files;
    const auto add = [&files](const std::string& ca, const rules::TlsFiles& own) {
        files.insert(files.end(), {ca, own.certificate, own.key});
    };
    if (roles_.edge) {
        add(roots_or_system(settings.tls_external.ca), settings.tls_external.at(now_));
        std::ranges::copy(settings.revocation_lists, std::back_inserter(files));
        for (const rules::Partner& partner : rules.partners()) files.push_back(partner.ca);
    }
    if (roles_.gateway) add(sip_roots(settings), settings.tls_sip.at(now_));
    if (roles_.use_link()) {
        add(settings.tls_internal.ca, settings.tls_internal.at(now_));
        std::ranges::copy(settings.internal_revocation_lists, std::back_inserter(files));
    }
    std::ranges::sort(files);
    const auto repeated = std::ranges::unique(files);
    files.erase(repeated.begin(), repeated.end());
    std::erase(files, "");
    return files;
}

bool CertificateLoader::is_due(const rules::Snapshot& rules, WallTime now) {
    const WallTime before = std::exchange(now_, now);
    if (files_.look()) return true;
    const bool same = std::exchange(looked_at_, rules.generation) == rules.generation;
    if (same && !takes_over_between(rules.settings, before, now)) return false;
    return files_of(rules) != files_.paths() || wants_legacy(rules) != legacy_;
}

void CertificateLoader::complain(const std::string& what) {
    if (fault_.contains(what)) return;  // one file may serve several purposes
    log_.event(EventId::kCertificateLoadFailed, {{"fault", what}});
    if (!fault_.empty()) fault_ += "; ";
    fault_ += what;
}

CertificateLoader::Roots CertificateLoader::roots_of(const std::string& path) {
    if (path.empty()) return nullptr;
    std::string pem, why;
    if (!read_regular_file(path, pem, why)) {
        complain("authorities " + path + " " + why);
        return roots_[path];
    }
    auto parsed = net::TrustStore::parse(pem);
    if (!parsed) {
        complain("no usable authority in " + path);
        return roots_[path];
    }
    return roots_[path] = std::make_shared<const net::TrustStore>(std::move(*parsed));
}

// Those of before stay when the new ones can't be read, whatever file they are from.
void CertificateLoader::replace_roots(Roots& roots, const std::string& path) {
    Roots next = roots_of(path);
    if (next != nullptr || path.empty()) roots = std::move(next);
}

// All or none: a list that is missing must not pass for one that lists nobody. Those of before stay
// then.
void CertificateLoader::load_lists(const std::vector<std::string>& paths, Lists& lists) {
    auto read = std::make_shared<net::RevocationLists>();
    for (const std::string& path : paths) {
        std::string bytes, why;
        if (!read_regular_file(path, bytes, why) || !read->add(std::move(bytes), why)) {
            complain("revocation list " + path + " " + why);
            return;
        }
    }
    lists = std::move(read);
}

bool CertificateLoader::find_credential(const rules::Snapshot& rules, net::TlsCredential& found) {
    const rules::TlsFiles files = rules.settings.tls_external.at(now_);
    if (roles_.edge && !files.certificate.empty()) {
        found = credential_of(files);
        return true;
    }
    if (self_signed_certificate_.empty()) {
        std::vector<std::string> names;
        for (const rules::SipDomain& domain : rules.sip_domains()) names.push_back(domain.name);
        if (names.empty()) names.emplace_back("localhost");
        auto made = net::make_self_signed(names, kSelfSignedDays);
        if (!made) {
            complain("no self-signed certificate can be made");
            return false;
        }
        self_signed_certificate_.text = made->certificate;
        self_signed_key_.text = made->key;
        log_.event(EventId::kSelfSigned, {{"name", names.front()}});
    }
    found = {self_signed_certificate_, self_signed_key_};
    return true;
}

std::string CertificateLoader::fault_of(const rules::Snapshot& rules, WallTime now) {
    Log unheard(-1);
    CertificateLoader trial(unheard);
    static_cast<void>(trial.load(rules, 1, now));
    const rules::Settings& s = rules.settings;
    if (trial.fault().empty() && (s.tls_external.next || s.tls_internal.next || s.tls_sip.next)) {
        static_cast<void>(trial.load(rules, 1, WallTime::max()));
    }
    return trial.fault();
}

std::vector<std::string> CertificateLoader::missing_names(const rules::Snapshot& rules,
                                                          WallTime now) {
    Log unheard(-1);
    CertificateLoader trial(unheard);
    trial.now_ = now;
    trial.roles_ = {rules.settings.edge, rules.settings.gateway, rules.settings.link.joined};
    if (trial.roles_.edge) trial.note_names(rules);
    if (trial.roles_.use_link()) trial.note_internal_name(rules);
    return trial.name_remarks();
}

std::vector<ShardTls> CertificateLoader::load(const rules::Snapshot& rules, std::uint32_t shards,
                                              WallTime now) {
    now_ = now;
    const rules::Settings& settings = rules.settings;
    const bool again = generation_ != 0;
    if (!again) roles_ = {settings.edge, settings.gateway, settings.link.joined};
    files_.watch(files_of(rules));
    looked_at_ = rules.generation;
    fault_.clear();
    expiries_.clear();
    ++generation_;

    net::TlsConfig external, sip, internal;
    external.legacy = legacy_ = wants_legacy(rules);
    std::map<std::string, Roots> by_ca;
    if (roles_.edge) {
        replace_roots(external_roots_, roots_or_system(settings.tls_external.ca));
        for (const rules::Partner& partner : rules.partners()) {
            if (!partner.ca.empty() && !by_ca.contains(partner.ca))
                by_ca[partner.ca] = roots_of(partner.ca);
        }
        load_lists(settings.revocation_lists, revoked_);
        note_names(rules);
    }
    if (roles_.gateway) replace_roots(sip_roots_, sip_roots(settings));
    if (roles_.use_link()) {
        replace_roots(internal_roots_, settings.tls_internal.ca);
        load_lists(settings.internal_revocation_lists, internal_revoked_);
        note_internal_name(rules);
    }
    external.roots = external_roots_;
    sip.roots = sip_roots_;
    sip.sip = true;
    internal.roots = internal_roots_;
    internal.revoked = internal_revoked_;
    internal.credentials = {credential_of(settings.tls_internal.at(now))};
    const bool sip_has_own = !settings.tls_sip.certificate.empty();
    net::TlsCredential credential;
    const bool found = (roles_.edge || !sip_has_own) && find_credential(rules, credential);
    external.credentials = {credential};
    sip.credentials = {sip_has_own ? credential_of(settings.tls_sip.at(now)) : credential};

    std::vector<ShardTls> all(shards);
    const auto load_for_all = [&](const char* purpose, const net::TlsConfig& config, auto member) {
        for (ShardTls& one : all) {
            std::string fault;
            auto loaded = net::TlsContext::load(config, &fault);
            if (loaded) {
                member(one) = std::move(*loaded);
                continue;
            }
            complain(fault.empty() ? loaded.error().where : fault);
            for (ShardTls& each : all) member(each).reset();  // the same for all
            return;
        }
        note_expiry(config.credentials.front().certificate.path, purpose);
    };
    if (roles_.edge && found) {
        load_for_all("external", external,
                     [](ShardTls& one) -> auto& { return one.edge.external; });
    }
    if (roles_.gateway && (found || sip_has_own)) {
        load_for_all("sip", sip, [](ShardTls& one) -> auto& { return one.sip; });
    }
    if (roles_.use_link()) {
        load_for_all("internal", internal, [](ShardTls& one) -> auto& { return one.internal; });
    }
    for (ShardTls& one : all) {
        one.edge.by_ca = by_ca;
        one.edge.revoked = revoked_;
        one.edge.generation = generation_;
    }
    std::erase_if(roots_, [&](const auto& entry) {
        return std::ranges::find(files_.paths(), entry.first) == files_.paths().end();
    });
    if (again && fault_.empty()) log_.event(EventId::kCertificateLoaded);
    return all;
}

void CertificateLoader::note_expiry(const std::string& path, const char* purpose) {
    const auto known = std::ranges::find(expiries_, path, &Expiry::file);
    if (known != expiries_.end()) {
        known->purposes += std::string(", ") + purpose;
        return;
    }
    std::string pem, why;
    if (path.empty() || !read_regular_file(path, pem, why)) return;
    const auto ders = net::parse_pem_certificates(pem);
    if (!ders) return;
    const auto certificate = net::parse_certificate(ders->front());
    if (certificate) expiries_.push_back({path, purpose, certificate->not_after});
}

// Partners would not believe us by this certificate.
void CertificateLoader::note_names(const rules::Snapshot& rules) {
    not_named_.clear();
    const std::string path = rules.settings.tls_external.at(now_).certificate;
    std::string pem, why;
    if (path.empty() || !read_regular_file(path, pem, why)) return;
    const auto ders = net::parse_pem_certificates(pem);
    if (!ders) return;
    const auto certificate = net::parse_certificate(ders->front());
    if (!certificate) return;
    PeerIdentity ours;
    ours.presented = ours.chain_valid = true;
    ours.dns_names = copies(certificate->dns_names);
    ours.srv_names = copies(certificate->srv_names);
    ours.xmpp_addrs = copies(certificate->xmpp_addrs);
    for (const rules::SipDomain& domain : rules.sip_domains()) {
        if (xml::covers(ours, domain.name, false)) continue;
        not_named_.emplace_back(domain.name, xml::why_not_covered(ours, domain.name));
    }
}

// Others know us by a name that their topology has, too; an edge may be listed by gateways only.
void CertificateLoader::note_internal_name(const rules::Snapshot& rules) {
    const rules::Settings& settings = rules.settings;
    const std::string path = settings.tls_internal.at(now_).certificate;
    std::string pem, why;
    if (!read_regular_file(path, pem, why)) return;
    const auto ders = net::parse_pem_certificates(pem);
    if (!ders) return;
    const auto certificate = net::parse_certificate(ders->front());
    if (!certificate) return;
    std::vector<std::string> members = settings.link.gateways;
    if (roles_.edge) {
        members.clear();
        for (const auto& edge : settings.link.edges) members.push_back(edge.host);
    }
    const std::vector<std::string> names = copies(certificate->dns_names);
    const auto known = std::ranges::find_first_of(names, members);
    internal_unknown_.clear();
    if (!members.empty() && known == names.end()) {
        const std::string kind = roles_.edge ? "edge" : "gateway";
        std::string own, theirs;
        for (const std::string& name : names) own += (own.empty() ? "" : ", ") + name;
        for (const std::string& name : members) theirs += (theirs.empty() ? "" : ", ") + name;
        internal_unknown_ = "the certificate " + path + " is for " +
                            (own.empty() ? "no name" : own) + ", which is no member of " +
                            (roles_.edge ? "an " : "a ") + kind +
                            " pool: the others will refuse this machine. Get it one for its name "
                            "there (" +
                            theirs + "), or put its name into pool/NAME/members";
    }
    internal_name_ = known != names.end() ? *known : names.empty() ? std::string() : names.front();
}

std::vector<std::string> CertificateLoader::name_remarks() const {
    std::vector<std::string> remarks;
    for (const auto& [domain, why] : not_named_) {
        remarks.push_back("partners can't know us as " + domain + " by our certificate: " + why);
    }
    if (!internal_unknown_.empty()) remarks.push_back(internal_unknown_);
    return remarks;
}

std::vector<std::string> CertificateLoader::remarks(WallTime now) const {
    std::vector<std::string> remarks;
    if (!fault_.empty()) remarks.push_back(fault_ + "; what was read before stays in use");
    for (const Expiry& one : expiries_) {
        if (one.at - now > kExpiryNotice) continue;
        remarks.push_back("the certificate " + one.file + expiry_text(one.at, now) +
                          "; fedctl cert request makes the request for the next one");
    }
    std::ranges::move(name_remarks(), std::back_inserter(remarks));
    for (const auto& [issuer, at] : old_lists(now)) {
        remarks.push_back("the revocation list of " + issuer + " is out of date since " +
                          readable_day(at));
    }
    return remarks;
}

void CertificateLoader::tell_expiries(WallTime now) {
    for (const Expiry& one : expiries_) {
        if (!notices_.is_due(one.file, one.at, now)) continue;
        log_.event(EventId::kCertificateExpires, {{"file", one.file},
                                                  {"used_for", one.purposes},
                                                  {"expires", readable_day(one.at)},
                                                  {"days", days_between(now, one.at)}});
    }
    notices_.keep([this](const std::string& file) {
        return std::ranges::find(expiries_, file, &Expiry::file) != expiries_.end();
    });
}

void CertificateLoader::tell(WallTime now) {
    tell_expiries(now);
    if (now - told_at_ < kTellEvery) return;
    told_at_ = now;
    for (const auto& [domain, why] : not_named_) {
        log_.event(EventId::kCertificateNames, {{"domain", domain}, {"reason", why}});
    }
    for (const auto& [issuer, at] : old_lists(now)) {
        log_.event(EventId::kRevocationListOld,
                   {{"issuer", issuer}, {"next_update", readable_day(at)}});
    }
}

// The first of each kind, and its end.
std::vector<std::pair<std::string, WallTime>> CertificateLoader::old_lists(WallTime now) const {
    std::vector<std::pair<std::string, WallTime>> old;
    for (const Lists& lists : {revoked_, internal_revoked_}) {
        std::string issuer;
        if (lists == nullptr || lists->next_update(issuer) >= now) continue;
        const WallTime at = lists->next_update(issuer);
        old.emplace_back(issuer, at);
    }
    return old;
}

}  // namespace fedgate
