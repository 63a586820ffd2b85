#include "appliance/admin/sheet.hpp"

#include <chrono>
#include <vector>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/certificates.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/names.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/base/file.hpp"
#include "core/config/timestamp.hpp"
#include "net/certificate.hpp"

namespace fedgate::admin {
namespace {

std::string tls_of(const rules::Partner& partner) {
    const std::string versions = partner.legacy_tls ? "1.0 to 1.3" : "1.2 or 1.3";
    switch (partner.negotiation.tls) {
        case rules::Need::kRequired: return versions + ", required";
        case rules::Need::kOptional: return versions + ", if you offer it";
        case rules::Need::kNone: break;
    }
    return "none: our streams with you are in clear";
}

std::string trust_of(const rules::Partner& partner, const rules::Settings& settings) {
    if (!partner.negotiation.allows(rules::method::kSaslTls)) {
        return "not asked for";
    }
    if (!partner.pins.empty()) {
        std::string text = "one of those with this SHA-256:";
        for (const std::string& pin : partner.pins) text += " " + pin;
        return text;
    }
    const bool agreed = !partner.ca.empty() || !settings.tls_external.ca.empty();
    return std::string(agreed ? "of an authority that we have agreed on"
                              : "of a public authority, as browsers know") +
           (partner.dane ? ", or named by your TLSA records where your zone is signed" : "") +
           (partner.strict_usage ? "; for clientAuth, too, on streams that you open" : "");
}

std::vector<std::string> rights_of(const rules::Partner& partner, const rules::Settings& settings) {
    using rules::Kind;
    const rules::TypeEffects& effects = rules::effects(partner.type);
    std::vector<std::string> rights;
    if (!partner.passes(Kind::kMessage)) {
        rights.emplace_back("no messages pass, in either direction");
    } else {
        rights.emplace_back(
            effects.may_message_unapproved
                ? "your users may write to ours, if our users' policy lets them"
                : "your users may write to a user of ours who has written to them or added them");
        if (!partner.passes(Kind::kTyping)) rights.emplace_back("nobody sees whether others type");
        if (!partner.passes(Kind::kHtml)) rights.emplace_back("messages lose their markup");
        if (!settings.archiving_notice.empty()) {
            rights.push_back("they are told with the first message of a conversation: \"" +
                             settings.archiving_notice + "\"");
        }
    }
    if (!partner.passes(Kind::kPresence)) {
        rights.emplace_back("no presence passes, in either direction");
    } else {
        rights.emplace_back(effects.sees_presence_unapproved
                                ? "they see the presence of ours without being asked for"
                                : "they see the presence of ours once that user has agreed");
        if (!partner.passes(Kind::kNotes)) rights.emplace_back("status notes are left out");
    }
    if (!partner.passes(Kind::kIq)) rights.emplace_back("queries (iq) are refused");
    return rights;
}

std::string ports_of(const std::vector<config::Address>& listen) {
    std::string text;
    for (const config::Address& one : listen) {
        const std::string port = std::to_string(one.port);
        if (!text.contains(port)) text += (text.empty() ? "" : ", ") + port;
    }
    return text;
}

Json own_certificate(const std::string& file, WallTime now) {
    std::string pem, why;
    if (file.empty() || !read_regular_file(file, pem, why)) return Json::object();
    const auto ders = net::parse_pem_certificates(pem);
    return ders ? describe_certificate(ders->front(), now) : Json::object();
}

}  // namespace

Json partner_sheet(const std::string& domain, const Configuration& configuration) {
    const rules::Snapshot& snapshot = configuration.snapshot();
    const config::Tree& tree = configuration.tree();
    const rules::Partner* partner = snapshot.partner(domain);
    if (partner == nullptr) {
        return refusal(domain + " is no partner of ours: " +
                       std::string(rules::explain(snapshot.why_no_partner(domain))));
    }
    Json names = answer_dns({{"action", "plan"}}, configuration);
    if (!bool_of(names, "ok")) return names;
    const auto now = wall_now();
    const rules::Settings& settings = snapshot.settings;
    const std::string listed = partner->discovered() ? "default" : partner->domain;
    const auto limit = [&](const char* key) { return tree.text(key, listed); };
    Json domains = Json::array();
    for (const rules::SipDomain& one : snapshot.sip_domains()) domains.push_back(one.name);
    Json theirs = Json::array({partner->discovered() ? domain : partner->domain});
    for (const std::string& one : partner->additional_domains) theirs.push_back(one);
    const bool on = settings.federation_allow && partner->enabled;
    return {{"ok", true},
            {"date", config::format_time(now)},
            {"on", on},
            {"our_domains", std::move(domains)},
            {"their_domains", std::move(theirs)},
            {"zone", names["zone"]},
            {"certificate", own_certificate(settings.tls_external.at(now).certificate, now)},
            {"ports", ports_of(settings.xmpp.listen)},
            {"ports_direct_tls", ports_of(settings.xmpp.listen_tls)},
            {"reached_by", partner->proxy.host.empty()
                               ? "your SRV records _xmpp-server._tcp, else your domain at port 5269"
                               : partner->proxy.host + ", as we have agreed, without DNS"},
            {"proof", rules::methods_text(partner->negotiation)},
            {"tls", tls_of(*partner)},
            {"their_certificate", trust_of(*partner, settings)},
            {"one_stream_for_both_ways", partner->bidi},
            {"users", rights_of(*partner, settings)},
            {"limits",
             {{"connections", std::to_string(partner->connection_limit)},
              {"new connections", limit("partner/*/rate_connections")},
              {"bytes of a stream", limit("partner/*/rate_bytes")},
              {"stanzas of a stream", limit("partner/*/rate_stanzas")},
              {"messages of a sender", limit("partner/*/rate_sender_messages")},
              {"bytes of a stanza", std::to_string(settings.xmpp.stanza_bytes)},
              {"bytes of a message's text", std::to_string(settings.im.max_bytes)}}}};
}

std::string show_sheet(const Json& answer) {
    const auto list = [&](const Json& from, const char* name) {
        std::string text;
        for (const Json& one : array_of(from, name)) {
            text += (text.empty() ? "" : ", ") + one.get<std::string>();
        }
        return text;
    };
    std::vector<std::vector<std::string>> rows;
    const auto add = [&rows](const std::string& label, const std::string& text) {
        if (!text.empty()) rows.push_back({"  " + label, text});
    };
    const auto flush = [&rows] {
        std::string text = show_table(rows) + "\n";
        rows.clear();
        return text;
    };
    std::string out = "XMPP federation of " + list(answer, "our_domains") + " with " +
                      list(answer, "their_domains") + "\nWhat we offer and ask for, " +
                      string_of(answer, "date") + ".\n";
    if (!bool_of(answer, "on")) out += "It is turned off on our side for now.\n";
    out += "\nOur side\n";
    add("domains", list(answer, "our_domains"));
    add("ports",
        string_of(answer, "ports") + " (STARTTLS)" +
            (string_of(answer, "ports_direct_tls").empty()
                 ? ""
                 : ", " + string_of(answer, "ports_direct_tls") + " (TLS from the start)"));
    const Json& ours = answer.contains("certificate") ? answer["certificate"] : Json::object();
    add("certificate", string_of(ours, "subject"));
    add("  its names", list(ours, "dns_names"));
    add("  issuer", string_of(ours, "issuer"));
    add("  valid until", string_of(ours, "not_after"));
    add("  SHA-256", string_of(ours, "sha256"));
    out += flush() + "In our DNS\n";
    for (const Json& line : array_of(answer, "zone")) out += "  " + line.get<std::string>() + "\n";
    out += "\nYour side\n";
    add("domains", list(answer, "their_domains"));
    add("we reach you by", string_of(answer, "reached_by"));
    add("proof", string_of(answer, "proof"));
    add("TLS", string_of(answer, "tls"));
    add("your certificate", string_of(answer, "their_certificate"));
    if (bool_of(answer, "one_stream_for_both_ways"))
        add("streams", "one for both ways, where you offer XEP-0288");
    out += flush() + "Users\n";
    for (const Json& one : array_of(answer, "users")) out += "  " + one.get<std::string>() + "\n";
    out += "\nMost that we take\n";
    if (const auto limits = answer.find("limits"); limits != answer.end()) {
        for (const auto& [name, value] : limits->items()) add(name, value.get<std::string>());
    }
    out += show_table(rows);
    return out;
}

}  // namespace fedgate::admin
