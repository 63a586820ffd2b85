#include "appliance/admin/certificates.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/admin/answers.hpp"
#include "core/base/hash.hpp"
#include "core/config/timestamp.hpp"
#include "net/certificate.hpp"
#include "net/der.hpp"
#include "xml/certificate.hpp"

namespace fedgate::admin {
namespace {

using net::Certificate;

constexpr std::size_t kChainMax = 8;
constexpr std::int64_t kNoticeDays = 30;

bool is_signed_by(const Certificate& one, const Certificate& by) {
    return one.issuer == by.subject &&
           net::is_signed(one.signed_part, one.signature, one.algorithm, by.key);
}

bool belongs(const std::string& key, const Certificate& one) {
    return net::sign("which one is it?", key, one.key).has_value();
}

std::string name_of(const net::PublicKey& key) {
    switch (key.kind) {
        case net::KeyKind::kRsa: return "RSA " + std::to_string(key.rsa_bits);
        case net::KeyKind::kP256: return "ECDSA P-256";
        case net::KeyKind::kP384: return "ECDSA P-384";
        case net::KeyKind::kP521: return "ECDSA P-521";
        case net::KeyKind::kEd25519: return "Ed25519";
        case net::KeyKind::kOther: break;
    }
    return "of a kind that is not accepted";
}

std::string hash_of(const net::SignatureAlgorithm& algorithm) {
    switch (algorithm.hash) {
        case net::HashKind::kSha256: return "SHA-256";
        case net::HashKind::kSha384: return "SHA-384";
        case net::HashKind::kSha512: return "SHA-512";
        case net::HashKind::kNone: break;
    }
    return algorithm.scheme == net::SignatureScheme::kEd25519 ? "Ed25519" : "SHA-1 or older";
}

std::vector<std::string> copies(const std::vector<Bytes>& views) {
    return {views.begin(), views.end()};
}

std::string hex_of(Bytes bytes) {
    const auto hex = to_hex(sha256({bytes}));
    return {hex.data(), hex.size()};
}

std::string upper(std::string text) {
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
}
// As Windows shows it.
std::string thumbprint_of(Bytes der) {
    const auto hex = to_hex(sha1({der}));
    return upper({hex.data(), hex.size()});
}
std::string hex_text(Bytes bytes) {
    std::string hex(2 * bytes.size(), '\0');
    write_hex(hex.data(), {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    return upper(hex);
}

std::vector<std::string> usages_of(const Certificate& one) {
    std::vector<std::string> all;
    if (one.usage_any) all.emplace_back("any");
    if (one.usage_server) all.emplace_back("servers");
    if (one.usage_client) all.emplace_back("clients");
    if (one.usage_xmpp) all.emplace_back("XMPP");
    if (one.usage_sip) all.emplace_back("SIP domains");
    return all;
}

// As others do: names only, whatever the rest is worth.
PeerIdentity identity_of(const Certificate& one) {
    PeerIdentity who;
    who.presented = who.chain_valid = true;
    who.dns_names = copies(one.dns_names);
    who.srv_names = copies(one.srv_names);
    who.xmpp_addrs = copies(one.xmpp_addrs);
    return who;
}

class Check {
public:
    Check(const Bundle& bundle, const Use& use, WallTime now)
        : bundle_(bundle), use_(use), now_(now) {}

    Json run() {
        const auto leaf = bundle_.ders.empty() ? net::parse_certificate("")
                                               : net::parse_certificate(bundle_.ders.front());
        if (!leaf) {
            error(
                "it holds no certificate that can be read",
                "take the PEM file that the authority has sent, from -----BEGIN CERTIFICATE-----");
            return std::move(found_);
        }
        key(*leaf);
        weakness();
        dates(*leaf);
        usage(*leaf);
        names(*leaf);
        chain(*leaf);
        return std::move(found_);
    }

private:
    void error(std::string text, std::string advice) {
        found_.push_back({{"level", "error"}, {"text", text}, {"advice", advice}});
    }
    void warning(std::string text, std::string advice) {
        found_.push_back({{"level", "warning"}, {"text", text}, {"advice", advice}});
    }

    void key(const Certificate& leaf) {
        if (bundle_.key.empty() || belongs(bundle_.key, leaf)) return;
        error("the key is not that of the certificate",
              "name the key that the request was made with (fedctl cert list), or request a new "
              "certificate");
    }

    void weakness() {
        for (const std::string& der : bundle_.ders) {
            const auto one = net::parse_certificate(der);
            if (!one) continue;
            const std::string who = net::readable_name(one->subject);
            if (one->key.kind == net::KeyKind::kRsa && one->key.rsa_bits < 2'048) {
                error("the RSA key of " + who + " has " + std::to_string(one->key.rsa_bits) +
                          " bits: partners refuse less than 2048",
                      "request a new one: fedctl cert request --key rsa:2048");
            } else if (!net::has_strong_key(*one)) {
                error("the key of " + who + " is " + name_of(one->key),
                      "request a new one: fedctl cert request --key rsa:2048");
            }
            if (one->algorithm.scheme == net::SignatureScheme::kWeakOrUnknown) {
                error("the certificate of " + who +
                          " is signed with SHA-1 or weaker: partners "
                          "refuse it",
                      "have the authority sign it with SHA-256");
            }
        }
    }

    void dates(const Certificate& leaf) {
        const auto days = (leaf.not_after - now_) / std::chrono::days(1);
        if (leaf.not_after < now_) {
            error("it expired on " + readable_day(leaf.not_after),
                  "request a new one: fedctl cert request");
        } else if (leaf.not_before > now_) {
            error("it is not valid before " + readable_minute(leaf.not_before),
                  "assign it from then on (fedctl cert assign ... --effective DATE); is our clock "
                  "right?");
        } else if (days < kNoticeDays) {
            warning("it expires in " + std::to_string(days) + " days, on " +
                        readable_day(leaf.not_after),
                    "request the next one: fedctl cert request");
        }
    }

    void usage(const Certificate& leaf) {
        if (leaf.is_ca) {
            error("it is an authority's own certificate, not a server's",
                  "take the one that the authority has made for this server");
        }
        if (leaf.usage_any) return;
        if (!leaf.usage_server) {
            error("it is not for servers (extended key usage)",
                  "have the authority issue it for server authentication");
        } else if (!leaf.usage_client && use_.purpose != "sip") {
            warning(
                "it is for servers only (extended key usage): a partner who wants the usage "
                "for clients on streams that we open falls back to dialback, or refuses",
                "ask the authority for client authentication as well; many public ones give "
                "it no more, and most partners do without");
        }
    }

    void names(const Certificate& leaf) {
        const PeerIdentity who = identity_of(leaf);
        const std::string request =
            "request one with it: fedctl cert request --for " + use_.purpose;
        for (const std::string& name : use_.needed) {
            if (xml::covers(who, name, false)) continue;
            const bool wild = std::ranges::find(who.dns_names, "*." + name) != who.dns_names.end();
            error(xml::why_not_covered(who, name) +
                      (wild ? "; *." + name + " is for names below it, not for " + name : ""),
                  request);
        }
        for (const std::string& name : use_.wanted) {
            if (!xml::covers(who, name, false)) {
                warning("it does not name " + name, request + ", if it is used");
            }
        }
        for (const std::string& name : who.dns_names) {
            if (!name.starts_with("*.")) continue;
            warning("it has the wildcard " + name +
                        ": good for each name one label below, and "
                        "whoever has its key may stand for all of them",
                    "keep the key on few machines; or request one with the names that are used");
        }
        other_names(who);
    }

    // The trap: of a certificate that has such names some servers, ejabberd among them, look at
    // these alone, and never at its dNSNames.
    void other_names(const PeerIdentity& who) {
        if (who.xmpp_addrs.empty() && who.srv_names.empty()) return;
        for (const std::string& name : use_.needed) {
            const bool by_dns = std::ranges::any_of(who.dns_names, [&name](const std::string& one) {
                return xml::dns_name_matches(one, name);
            });
            const bool by_address = std::ranges::find(who.xmpp_addrs, name) != who.xmpp_addrs.end();
            if (!who.xmpp_addrs.empty() && !by_address) {
                warning("it has xmppAddr names, but not " + name +
                            " among them: some servers, "
                            "older ejabberd among them, look at no other names then",
                        "have it issued with all our domains as xmppAddr, or with none, and all "
                        "of them as dNSName");
            }
            if (!by_dns && xml::covers(who, name, false)) {
                warning("it names " + name + " as " + (by_address ? "xmppAddr" : "SRVName") +
                            " only: many servers look at dNSNames alone",
                        "have it issued with " + name + " as dNSName, too");
            }
        }
    }

    void chain(const Certificate& leaf) {
        if (has_error(found_)) return;
        const bool self_signed = leaf.issuer == leaf.subject;
        if (self_signed) {
            warning("it is self-signed: partners believe it only where they have been told to",
                    "request one from an authority: fedctl cert request");
            return;
        }
        if (use_.ca.empty()) return;
        const auto roots = net::TrustStore::parse(use_.ca);
        if (!roots) return;
        std::vector<Bytes> shown;
        for (const std::string& der : bundle_.ders) {
            if (shown.size() < net::kChainCertificatesMax) shown.emplace_back(der);
        }
        net::PeerTerms terms;
        terms.roots = &*roots;
        terms.sip = use_.purpose == "sip";
        const std::string fault = net::fault_of_chain({shown, {}, false}, terms, now_);
        if (fault.empty()) return;
        const auto last = net::parse_certificate(bundle_.ders.back());
        const std::string issuer = last ? net::readable_name(last->issuer) : std::string();
        warning(
            "the certificate " + fault,
            "import it with the certificates between it and its root, the next one is that of " +
                issuer + "; if it is your own authority, its root belongs into tls." +
                use_.purpose + ".ca, and into partners' settings");
    }

    const Bundle& bundle_;
    const Use& use_;
    const WallTime now_;
    Json found_ = Json::array();
};

bool fail(const std::string& path, std::string& why) {
    why = path + " can't be written: " + std::strerror(errno);
    return false;
}

}  // namespace

bool has_error(const Json& findings) {
    return std::ranges::any_of(findings,
                               [](const Json& one) { return string_of(one, "level") == "error"; });
}

Json check_bundle(const Bundle& bundle, const Use& use, WallTime now) {
    return Check(bundle, use, now).run();
}

bool put_in_order(Bundle& bundle, std::string& why) {
    std::vector<Certificate> all;
    for (const std::string& der : bundle.ders) {
        const auto one = net::parse_certificate(der);
        if (one) all.push_back(*one);
    }
    if (all.empty()) {
        why = "holds no certificate that can be read";
        return false;
    }
    const auto leaf = bundle.key.empty() ? std::ranges::find(all, false, &Certificate::is_ca)
                                         : std::ranges::find_if(all, [&](const Certificate& one) {
                                               return belongs(bundle.key, one);
                                           });
    if (leaf == all.end() && !bundle.key.empty()) {
        why = "holds a key, and no certificate for it";
        return false;
    }
    std::vector<const Certificate*> chain{leaf == all.end() ? &all.front() : &*leaf};
    while (chain.size() < kChainMax) {
        const Certificate& last = *chain.back();
        const auto next = std::ranges::find_if(all, [&last](const Certificate& one) {
            return one.is_ca && one.der != last.der && is_signed_by(last, one);
        });
        if (next == all.end() || next->issuer == next->subject) break;
        chain.push_back(&*next);
    }
    std::vector<std::string> ordered;
    for (const Certificate* one : chain) ordered.emplace_back(one->der);
    bundle.ders = std::move(ordered);
    return true;
}

std::string pem_of(const std::vector<std::string>& ders) {
    std::string pem;
    for (const std::string& der : ders) {
        std::string text(base64_size(der.size()), '\0');
        Sink sink{MutableBytes(text.data(), text.size())};
        write_base64(sink, der);
        pem += "-----BEGIN CERTIFICATE-----\n";
        for (std::size_t at = 0; at < text.size(); at += 64) pem += text.substr(at, 64) + "\n";
        pem += "-----END CERTIFICATE-----\n";
    }
    return pem;
}

Json describe_certificate(Bytes der, WallTime now) {
    const auto one = net::parse_certificate(der);
    if (!one) return {{"fault", "it can't be read"}};
    return {{"subject", net::whole_name(one->subject)},
            {"issuer", net::whole_name(one->issuer)},
            {"not_before", config::format_time(one->not_before)},
            {"not_after", config::format_time(one->not_after)},
            {"days", (one->not_after - now) / std::chrono::days(1)},
            {"key", name_of(one->key)},
            {"signature", hash_of(one->algorithm)},
            {"usages", usages_of(*one)},
            {"dns_names", copies(one->dns_names)},
            {"srv_names", copies(one->srv_names)},
            {"xmpp_addrs", copies(one->xmpp_addrs)},
            {"serial", hex_text(one->serial)},
            {"thumbprint", thumbprint_of(der)},
            {"sha256", hex_of(der)},
            {"key_sha256", hex_of(one->key.info)}};
}

Json describe_request(Bytes der) {
    const auto one = net::parse_request(der);
    if (!one) return {{"fault", "it can't be read"}};
    return {{"subject", net::whole_name(one->subject)}, {"key", name_of(one->key)},
            {"signature", hash_of(one->algorithm)},     {"usages", usages_of(*one)},
            {"dns_names", copies(one->dns_names)},      {"key_sha256", hex_of(one->key.info)}};
}

bool write_owned_file(const std::string& path, Bytes bytes, bool secret, std::string& why,
                      bool to_directorys_owner) {
    const std::string draft = path + ".new";
    unlink(draft.c_str());
    const int out =
        open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, secret ? 0600 : 0644);
    if (out < 0) return fail(path, why);
    struct stat directory{};
    const std::string parent = std::filesystem::path(path).parent_path();
    bool good = write(out, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    if (good && to_directorys_owner && geteuid() == 0 &&
        stat(parent.empty() ? "." : parent.c_str(), &directory) == 0) {
        good = fchown(out, directory.st_uid, directory.st_gid) == 0;
    }
    good = good && fsync(out) == 0;
    close(out);
    if (good && rename(draft.c_str(), path.c_str()) == 0) return true;
    fail(path, why);
    unlink(draft.c_str());
    return false;
}

}  // namespace fedgate::admin
