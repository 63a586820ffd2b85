#include "xml/sasl.hpp"

#include <string>

#include <gtest/gtest.h>

namespace fedgate::xml {
namespace {

// S2S-14
TEST(Sasl, AuthzidRules) {
    const auto judge = [](Bytes text) {
        return judge_sasl_auth("EXTERNAL", text, "a.example", true);
    };
    EXPECT_EQ(judge(""), SaslOutcome::kSuccess);
    EXPECT_EQ(judge("="), SaslOutcome::kSuccess);
    EXPECT_EQ(judge("YS5leGFtcGxl"), SaslOutcome::kSuccess);             // a.example
    EXPECT_EQ(judge("QS5FWEFNUExF"), SaslOutcome::kSuccess);             // A.EXAMPLE
    EXPECT_EQ(judge("Yi5leGFtcGxl"), SaslOutcome::kInvalidAuthzid);      // b.example
    EXPECT_EQ(judge("dUBhLmV4YW1wbGU="), SaslOutcome::kInvalidAuthzid);  // u@a.example
    EXPECT_EQ(judge("YS5leGFtcGxlAA=="), SaslOutcome::kInvalidAuthzid);  // a.example NUL
    // CERT-3: servers write their domain with U-labels ("bücher.example").
    EXPECT_EQ(judge_sasl_auth("EXTERNAL", "YsO8Y2hlci5leGFtcGxl", "xn--bcher-kva.example", true),
              SaslOutcome::kSuccess);
    EXPECT_EQ(judge("YS5leGFtcGx"), SaslOutcome::kIncorrectEncoding);
    EXPECT_EQ(judge("=="), SaslOutcome::kIncorrectEncoding);
    EXPECT_EQ(judge(std::string(4'000, 'A')), SaslOutcome::kIncorrectEncoding);
}

// S2S-45
TEST(Sasl, NothingWithoutProof) {
    EXPECT_EQ(judge_sasl_auth("EXTERNAL", "=", "a.example", false), SaslOutcome::kNotAuthorized);
    EXPECT_EQ(judge_sasl_auth("EXTERNAL", "=", "", true), SaslOutcome::kNotAuthorized);
    EXPECT_EQ(judge_sasl_auth("PLAIN", "=", "a.example", true), SaslOutcome::kInvalidMechanism);
    EXPECT_EQ(judge_sasl_auth("", "=", "a.example", true), SaslOutcome::kInvalidMechanism);
}

TEST(Sasl, Elements) {
    char memory[256];
    Sink out(memory);
    write_sasl_auth(out, "a.example");
    EXPECT_EQ(
        out.written(),
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>YS5leGFtcGxl</auth>");
    out.truncate(0);
    write_sasl_failure(out, SaslOutcome::kInvalidAuthzid);
    EXPECT_EQ(out.written(),
              "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-authzid/></failure>");
}

}  // namespace
}  // namespace fedgate::xml
