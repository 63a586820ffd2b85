#include "appliance/admin/advice.hpp"

namespace fedgate::admin {
namespace {

std::string set(std::string_view partner, std::string_view what) {
    return "fedctl partner set " + std::string(partner) + " " + std::string(what);
}

std::string on_certificate(std::string_view text, std::string_view partner) {
    const auto says = [text](std::string_view words) { return text.contains(words); };
    if (says("expired on")) return "their administrator has to renew it";
    if (says("is not valid before")) return "check the clocks of both servers";
    if (says("was revoked")) return "their administrator has to replace it";
    if (says("can't be checked for revocation")) {
        return "bring the revocation list up to date (fedctl sysctl -d tls.external.crl)";
    }
    if (says("none of those pinned")) {
        return "if they changed it on purpose: " + set(partner, "pins=SHA-256");
    }
    if (says("not trusted") || says("self-signed")) {
        return "if you trust who signed it: " + set(partner, "ca=/path/of/root.pem") +
               "; else their administrator has to get one of a known authority";
    }
    if (says("the certificate names") && says(": not ")) {
        return "their administrator has to get one that names their domain";
    }
    if (says("no certificate was shown")) return "their administrator has to install one";
    return "their administrator has to replace it";
}

}  // namespace

std::string advice_on(const FailureRow& row, std::string_view partner) {
    if (row.kind == "certificate") return on_certificate(row.text, partner);
    if (row.kind == "tls") {
        return "compare what TLS both sides can do; a partner without TLS needs " +
               set(partner, "tls=optional");
    }
    if (row.kind == "sasl") {
        return "compare 'expected' with what their server offers; does it trust our certificate "
               "(tls.external.certificate)?";
    }
    if (row.kind == "dialback") {
        return "their server must find ours by _xmpp-server._tcp in DNS, and reach its port 5269; "
               "and ours theirs";
    }
    if (row.kind == "dns" && row.text.contains("did not answer")) {
        return "are our name servers up (fedctl sysctl net.dns.servers; empty: those of the "
               "system), "
               "and do they answer for _xmpp-server._tcp." +
               row.their_domain + "? Or " + set(partner, "proxy=HOST:PORT");
    }
    if (row.kind == "dns" && row.text.contains("DNSSEC")) {
        return "their administrator has to repair their zone's signatures; is our clock right, and "
               "net.dns.trust_anchor?";
    }
    if (row.kind == "dns") {
        return "check the name, and _xmpp-server._tcp." + row.their_domain + " in DNS; or " +
               set(partner, "proxy=HOST:PORT");
    }
    if (row.kind == "unreachable" && row.text.contains("no address")) {
        return "the servers that _xmpp-server._tcp." + row.their_domain +
               " names have no address in DNS: their administrator has to correct that; or " +
               set(partner, "proxy=HOST:PORT");
    }
    if (row.kind == "unreachable") {
        return "is their server up, and may we reach its port (5269) through the firewalls on both "
               "sides?";
    }
    if (row.kind == "stream error received") {
        return "their server has refused us; ask their administrator, with this condition and time";
    }
    return "we have ended it; fedctl explain and the limits of this partner say more";
}

}  // namespace fedgate::admin
