#include "appliance/admin/doctor.hpp"

#include <gtest/gtest.h>

#include "appliance/admin/certificates.hpp"
#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

// What the daemon itself knows; the network is the integration test's.
class DoctorTest : public ControlTest {
protected:
    void configure(const std::string& more) {
        std::ofstream(file_, std::ios::app) << more << "\n";
        configuration_ = std::make_unique<Configuration>(config::Sources{file_, {}, ""});
        config::Problems problems;
        ASSERT_NE(configuration_->load(problems), nullptr) << problems.front().line();
    }
    Json step(const char* name, const std::string& from = "", const char* domain = "xmpp.example") {
        const Json answer = answer_doctor({{"domain", domain}, {"from", from}, {"open", true}},
                                          host_, *configuration_);
        for (const Json& one : answer["steps"]) {
            if (one["step"] == name) return one;
        }
        return {};
    }
    static NextHop hop(const char* state, std::uint64_t retry_s = 0) {
        NextHop one;
        one.domain = "sip.example";
        one.name = "tcp pool.example:5060";
        one.state = state;
        one.why = "connection refused";
        one.retry_s = retry_s;
        return one;
    }
};

TEST_F(DoctorTest, TheSipLegIsBrokenWhenNoServerTakesAnything) {
    EXPECT_EQ(step("SIP leg")["state"], "fault");  // none is known
    host_.state.next_hops = {hop("down"), hop("up")};
    EXPECT_EQ(step("SIP leg")["state"], "warning");
    host_.state.next_hops = {hop("down"), hop("up", 30)};  // it refuses all for 30 s
    EXPECT_EQ(step("SIP leg")["state"], "fault");
    EXPECT_NE(string_of(step("SIP leg"), "text").find("wants nothing for 30 s"), std::string::npos);
    host_.state.next_hops = {hop("up")};
    EXPECT_EQ(step("SIP leg")["state"], "ok");
}

TEST_F(DoctorTest, ARouteToADeadPoolIsNamed) {
    EXPECT_EQ(step("route")["state"], "ok");
    Link link;
    link.peer = "edge1.example:23456";
    link.why = "is not there";
    host_.state.links = {link};
    host_.state.routes = {{"", "pool-a", "", 5, {"edge1.example: is not there"}}};
    EXPECT_EQ(step("route")["state"], "fault");
    host_.state.links.push_back(link);
    host_.state.links.back().active = true;
    EXPECT_EQ(step("route")["state"], "fault");  // connected, but not by that pool
    EXPECT_NE(string_of(step("route"), "text").find("pool-a"), std::string::npos);
    host_.state.routes.front().now = "pool-b";
    EXPECT_EQ(step("route")["state"], "warning");
}

TEST_F(DoctorTest, ARuleThatForbidsIsNamedAndNothingIsOpened) {
    EXPECT_EQ(step("user policy")["state"], "fault");  // xmpp_access is not there
    EXPECT_NE(string_of(step("user policy"), "advice").find("xmpp_access=yes"), std::string::npos);
    EXPECT_EQ(host_.opened.size(), 2U);  // that the partner is one is enough for a stream
    host_.opened.clear();
    for (const char* domain : {"other.example", "sip.example"}) {
        EXPECT_EQ(step("partner rule", "", domain)["side"], "ours") << domain;
    }
    EXPECT_EQ(step("user policy", "a@nobody.example")["state"], "fault");
    EXPECT_TRUE(host_.opened.empty());
    configure(
        "policy/global/xmpp_access = yes\nuser/a@sip.example/policy = none\n"
        "policy/none/description = none");
    EXPECT_EQ(step("user policy")["state"], "ok");
    EXPECT_EQ(step("user policy", "sip:a@sip.example")["state"], "fault");
    EXPECT_EQ(step("user policy", "b@sip.example")["state"], "ok");
    EXPECT_FALSE(
        bool_of(answer_doctor({{"domain", "not a domain"}}, host_, *configuration_), "ok"));
}

// C2, C3: what the wizard fills in by itself.
TEST_F(DoctorTest, NamesOfACertificateComeFromTheConfiguration) {
    configure(
        "domain/b.example/phone = no\npool/edges/members = edge1.example edge2.example:23456\n"
        "core.node = gw1.example");
    const auto names = [this](const char* purpose, bool needed_only) {
        std::vector<std::string> all;
        const Json plan = answer_cert({{"action", "plan"}}, *configuration_);
        for (const Json& one : plan["purposes"][purpose]["names"]) {
            if (!needed_only || bool_of(one, "needed")) all.push_back(string_of(one, "name"));
        }
        return all;
    };
    using Names = std::vector<std::string>;
    EXPECT_EQ(names("external", false), (Names{"edge1.example", "edge2.example", "b.example",
                                               "sip.b.example", "sip.example", "sip.sip.example"}));
    EXPECT_EQ(names("external", true), (Names{"b.example", "sip.example"}));
    EXPECT_EQ(names("internal", true), Names{"gw1.example"});
    EXPECT_EQ(names("sip", true), (Names{"b.example", "sip.example"}));
}

}  // namespace
}  // namespace fedgate::admin
