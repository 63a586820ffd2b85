#include "appliance/admin/doctor.hpp"

#include <algorithm>
#include <optional>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/machine.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {

Json doctor_step(const char* step, const char* state, std::string text, const char* side,
                 std::string advice) {
    Json out{{"step", step}, {"state", state}, {"text", std::move(text)}};
    if (side[0] != 0) out["side"] = side;
    if (!advice.empty()) out["advice"] = std::move(advice);
    return out;
}

namespace {

// What the way to a partner depends on, of all that is set of one.
struct Terms {
    rules::Negotiation negotiation;
    config::HostPort proxy;
    std::string ca;

    explicit Terms(const rules::Partner& partner)
        : negotiation(partner.negotiation), proxy(partner.proxy), ca(partner.ca) {}
    Terms(const config::Tree& tree, const std::string& name)
        : negotiation(rules::negotiation(need("partner/*/tls", tree, name),
                                         need("partner/*/sasl", tree, name),
                                         tree.flag("partner/*/dialback", name))),
          ca(tree.text("partner/*/ca", name)) {
        const auto proxies = tree.list("partner/*/proxy", name);
        if (!proxies.empty()) proxy = *config::parse_host_port(proxies.front());
    }

private:
    static rules::Need need(const char* key, const config::Tree& tree, const std::string& name) {
        return static_cast<rules::Need>(tree.number(key, name));
    }
};

class Doctor {
public:
    Doctor(std::string their, std::string our, std::string user, AdminHost& host,
           const Configuration& configuration)
        : their_(std::move(their)),
          our_(std::move(our)),
          user_(std::move(user)),
          host_(host),
          configuration_(configuration),
          rules_(configuration.snapshot()),
          status_(host.status()) {}

    // As if the partner had these, too; it opens nothing then. False: `why`.
    bool suppose(const std::vector<std::string>& settings, std::string& why) {
        const rules::Partner* partner = rules_.partner(their_);
        const std::string name =
            partner != nullptr && !partner->discovered() ? partner->domain : their_;
        config::Tree tree = configuration_.tree();
        config::Problems problems;
        for (const std::string& text : settings) {
            const std::size_t equals = text.find('=');
            if (equals == std::string::npos || equals == 0) {
                why = config::in_quotes(text) + " is not ATTRIBUTE=VALUE, as tls=required";
                return false;
            }
            if (tree.set("partner/" + name + "/" + text.substr(0, equals), text.substr(equals + 1),
                         {}, problems))
                continue;
            why = problems.back().key + ": " + problems.back().text;
            return false;
        }
        supposed_.emplace(tree, name);
        return true;
    }

    Json run(bool open) {
        const rules::Partner* partner = rules_.partner(their_);
        const Terms terms = supposed_
                                ? *supposed_
                                : Terms(partner != nullptr ? *partner : rules_.partners().front());
        Json steps{rule(partner), policy(partner), route(), sip_leg()};
        const bool usable = !supposed_ && partner != nullptr && partner->enabled &&
                            rules_.settings.edge && rules_.settings.federation_allow &&
                            rules_.sip_domain(our_) != nullptr;
        if (usable && open) host_.open_stream(our_, their_);
        const rules::Settings& s = rules_.settings;
        const auto now = wall_now();
        const rules::TlsFiles own = s.tls_external.at(now);
        Json servers = Json::array();
        for (const config::Address& one : s.dns_servers) servers.push_back(one.text);
        Json answer = {{"ok", true},
                       {"domain", their_},
                       {"our_domain", our_},
                       {"usable", usable},
                       {"edge", s.edge},
                       {"why_no_streams", host_.why_no_streams()},
                       {"listed", partner != nullptr && !partner->discovered()},
                       {"tls", kNeeds[static_cast<std::size_t>(terms.negotiation.tls)]},
                       {"sasl", kNeeds[static_cast<std::size_t>(terms.negotiation.sasl)]},
                       {"dialback", terms.negotiation.dialback},
                       {"tls_required", terms.negotiation.tls == rules::Need::kRequired},
                       {"strict", terms.negotiation.strict()},
                       {"expected", rules::methods_text(terms.negotiation)},
                       {"outlook", rules::outlook(terms.negotiation)},
                       {"proxy", terms.proxy.host},
                       {"proxy_port", terms.proxy.port},
                       {"ca", terms.ca.empty() ? s.tls_external.ca : terms.ca},
                       {"servers", std::move(servers)},
                       {"trust_anchor", s.dns_trust_anchor},
                       {"certificate", own.certificate},
                       {"key", own.key},
                       {"steps", std::move(steps)}};
        if (Json found = msrp(); !found.empty()) answer["msrp"] = std::move(found);
        return answer;
    }

private:
    Json rule(const rules::Partner* partner) const {
        constexpr const char* kStep = "partner rule";
        if (!rules_.settings.federation_allow) {
            return doctor_step(kStep, "fault", "federation.allow is off: nothing passes", "ours",
                               "fedctl sysctl -w --save federation.allow=yes");
        }
        if (partner == nullptr) {
            const rules::Reason why = rules_.why_no_partner(their_);
            const bool denied = why == rules::Reason::kPartnerDenied;
            const bool own = why == rules::Reason::kOurDomain;
            return doctor_step(kStep, "fault", std::string(rules::explain(why)), "ours",
                               own      ? "name a domain of theirs"
                               : denied ? "fedctl partner unblock " + their_
                                        : "fedctl partner add " + their_ + " type=federated");
        }
        if (!partner->enabled) {
            return doctor_step(kStep, "fault", "the partner is switched off (enabled = no)", "ours",
                               "fedctl partner set " + their_ + " enabled=yes");
        }
        const std::string who = partner->discovered() ? "not listed, and any domain is taken "
                                                        "(federation.discovery)"
                                                      : "listed as " + partner->domain;
        return doctor_step(
            kStep, "ok",
            who + "; it proves itself by " + rules::methods_text(partner->negotiation));
    }

    Json policy(const rules::Partner* partner) const {
        constexpr const char* kStep = "user policy";
        const rules::SipDomain* domain = rules_.sip_domain(our_);
        if (domain == nullptr) {
            return doctor_step(kStep, "fault", "we serve no domain " + our_, "ours",
                               "fedctl sysctl -w --save domain/" + our_ + "/next_hop=sip:...");
        }
        const rules::Policy& policy = rules_.policy_of(user_, *domain);
        const std::string who = user_.empty() ? "users of " + our_ : user_ + "@" + our_;
        std::string missing;
        if (!policy.federation_access) missing = "federation_access";
        if (!policy.xmpp_access)
            missing += (missing.empty() ? "" : " and ") + std::string("xmpp_access");
        if (!missing.empty()) {
            const char* const first =
                policy.federation_access ? "xmpp_access" : "federation_access";
            return doctor_step(
                kStep, "fault",
                "policy " + policy.name + ", which holds for " + who + ", has no " + missing,
                "ours",
                "fedctl policy set " + policy.name + " " + first + "=yes" +
                    (user_.empty() ? "" : "; or fedctl user grant POLICY " + who));
        }
        if (partner != nullptr && !policy.names(partner->domain)) {
            return doctor_step(
                kStep, "fault",
                "policy " + policy.name + ", which holds for " + who + ", is for other partners",
                "ours",
                "name " + their_ + " among them, too: fedctl sysctl policy/" + policy.name +
                    "/partners, fedctl policy set " + policy.name + " partners=...");
        }
        if (partner != nullptr && !user_.empty()) {
            const rules::Decision decision =
                rules_.may_converse(user_, our_, their_, rules::Direction::kToXmpp);
            if (!decision.allowed()) {
                return doctor_step(kStep, "warning", std::string(rules::explain(decision.reason)),
                                   "ours", "fedctl explain " + who + " " + their_);
            }
        }
        return doctor_step(kStep, "ok", "policy " + policy.name + " lets " + who + " converse");
    }

    // How edge and gateway come together.
    Json route() const {
        constexpr const char* kStep = "route";
        const bool by_link = !status_.links.empty() || !status_.routes.empty();
        if (!by_link) {
            return doctor_step(kStep, "ok", "edge and gateway are one process");
        }
        std::string down;
        for (const Link& link : status_.links) {
            if (link.active) continue;
            down += (down.empty() ? "" : "; ") + link.peer +
                    (link.why.empty() ? std::string(" is not connected") : " " + link.why);
        }
        const bool some = std::ranges::any_of(status_.links, &Link::active);
        if (!some) {
            return doctor_step(kStep, "fault",
                               (rules_.settings.edge ? "no gateway is connected: "
                                                     : "no edge is "
                                                       "connected: ") +
                                   down,
                               "ours",
                               "start those machines, and look at fedctl ports and fedctl pool "
                               "list");
        }
        const rules::SipDomain* domain = rules_.sip_domain(our_);
        const rules::Site* site = domain != nullptr ? rules_.site_of(user_, *domain) : nullptr;
        for (const Route& one : status_.routes) {
            const bool ours = one.site.empty() ? site == nullptr || site->route.empty()
                                               : site != nullptr && site->name == one.site;
            if (!ours || one.now == one.first) continue;
            std::string missing;
            for (const std::string& edge : one.missing)
                missing += (missing.empty() ? "" : "; ") + edge;
            const std::string text = "the route of " +
                                     (one.site.empty() ? our_ : "site " + one.site) + " is pool " +
                                     one.first +
                                     ", which has no edge that can be "
                                     "used (" +
                                     missing + ")";
            if (one.now.empty()) {
                return doctor_step(kStep, "fault", text, "ours",
                                   "start its edges, or fedctl route set " + one.site + " POOL");
            }
            return doctor_step(kStep, "warning", text + "; pool " + one.now + " takes its place",
                               "ours",
                               "start its edges, or fedctl route set " + one.site + " " + one.now);
        }
        if (!down.empty()) {
            return doctor_step(kStep, "warning", "some machines are not connected: " + down, "ours",
                               "fedctl pool list");
        }
        return doctor_step(kStep, "ok", "edges and gateways are connected");
    }

    Json sip_leg() const {
        constexpr const char* kStep = "SIP leg";
        if (!rules_.settings.gateway) {
            return doctor_step(kStep, "skipped", "the gateway is on another machine: ask there");
        }
        std::string text;
        std::size_t hops = 0, good = 0;
        for (const NextHop& hop : status_.next_hops) {
            if (hop.domain != our_) continue;
            ++hops;
            const bool usable = hop.state != "down" && hop.retry_s == 0;
            good += usable ? 1 : 0;
            if (usable && hop.state == "up") continue;
            text +=
                (text.empty() ? "" : "; ") + hop.name + " (" + hop.address + ") is " + hop.state;
            if (!hop.why.empty()) text += ": " + hop.why;
            if (hop.retry_s > 0)
                text += ", and wants nothing for " + std::to_string(hop.retry_s) + " s";
        }
        const std::string advice = "is that SIP server up, does it let us in, and is domain/" +
                                   our_ + "/next_hop right (fedctl sysctl domain/" + our_ + ")?";
        if (hops == 0) {
            return doctor_step(kStep, "fault", "no SIP server of " + our_ + " is known", "ours",
                               advice);
        }
        if (good == 0) return doctor_step(kStep, "fault", text, "ours", advice);
        if (!text.empty()) return doctor_step(kStep, "warning", text, "ours", advice);
        return doctor_step(kStep, "ok",
                           std::to_string(hops) +
                               (hops == 1 ? " SIP server"
                                          : " SIP "
                                            "servers") +
                               " of " + our_ + (hops == 1 ? " answers" : " answer"));
    }

    // Where the users' agents come to, of a domain whose profile it is.
    Json msrp() const {
        const rules::SipDomain* domain = rules_.sip_domain(our_);
        const rules::Settings::Sip::Msrp& msrp = rules_.settings.sip.msrp;
        if (domain == nullptr || domain->profile != rules::Profile::kMsrp ||
            msrp.listen.text.empty())
            return {};
        Json closed = Json::array();
        Json open = Json::array();
        for (const Port& port : host_.ports()) {
            if (port.service == "msrp") (port.listening ? open : closed).push_back(port.address);
        }
        return {{"host", msrp.host.empty() ? host_name() : msrp.host},
                {"tls", msrp.tls},
                {"open", std::move(open)},
                {"closed", std::move(closed)}};
    }

    static constexpr const char* kNeeds[] = {"required", "optional", "none"};

    const std::string their_, our_, user_;
    AdminHost& host_;
    const Configuration& configuration_;
    const rules::Snapshot& rules_;
    const Status status_;
    std::optional<Terms> supposed_;
};

}  // namespace

Json answer_doctor(const Json& request, AdminHost& host, const Configuration& configuration) {
    const std::string typed = string_of(request, "domain");
    const auto their = config::normalise_domain(typed);
    if (!their) return refusal(config::in_quotes(typed) + " is not a domain name");
    const rules::Snapshot& rules = configuration.snapshot();
    std::string from = string_of(request, "from");
    if (from.starts_with("sip:")) from.erase(0, 4);
    const std::size_t at = from.find('@');
    const std::string typed_our = at == std::string::npos ? from : from.substr(at + 1);
    if (typed_our.empty() && rules.sip_domains().empty()) {
        return refusal(
            "there is no domain of ours yet: domain/DOMAIN/next_hop says where its users are");
    }
    const auto our = typed_our.empty()
                         ? std::optional<std::string>(rules.sip_domains().front().name)
                         : config::normalise_domain(typed_our);
    if (!our) return refusal(config::in_quotes(from) + " is not an address");
    Doctor doctor(*their, *our, at == std::string::npos ? "" : from.substr(0, at), host,
                  configuration);
    std::string why;
    if (request.contains("suppose") && !doctor.suppose(strings_of(request, "suppose"), why))
        return refusal(why);
    return doctor.run(bool_of(request, "open"));
}

}  // namespace fedgate::admin
