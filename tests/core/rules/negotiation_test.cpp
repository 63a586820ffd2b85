#include "core/rules/negotiation.hpp"

#include <set>

#include <gtest/gtest.h>

#include "core/rules/partner.hpp"

namespace fedgate::rules {
namespace {

using enum Need;

struct Row {
    Need tls;
    Need sasl;
    bool dialback;
    const char* methods;  // as features.md A5 prints them; null: invalid
    bool remarked;
};

// features.md A5, typed off the table once more.
const Row kTable[] = {
    {kRequired, kRequired, true, "S/TLS", true},
    {kRequired, kRequired, false, "S/TLS", false},
    {kOptional, kRequired, true, "S/TLS, D/TLS, D/TCP", true},
    {kOptional, kRequired, false, "S/TLS", true},
    {kNone, kRequired, true, "D/TCP", true},
    {kNone, kRequired, false, nullptr, true},
    {kRequired, kOptional, true, "S/TLS, D/TLS", false},
    {kRequired, kOptional, false, "S/TLS", false},
    {kOptional, kOptional, true, "S/TLS, D/TLS, D/TCP", true},
    {kOptional, kOptional, false, "S/TLS", true},
    {kNone, kOptional, true, "D/TCP", true},
    {kNone, kOptional, false, nullptr, true},
    {kRequired, kNone, true, "D/TLS", false},
    {kRequired, kNone, false, nullptr, true},
    {kOptional, kNone, true, "D/TLS, D/TCP", true},
    {kOptional, kNone, false, nullptr, true},
    {kNone, kNone, true, "D/TCP", true},
    {kNone, kNone, false, nullptr, true},
};

std::string methods_of(const Negotiation& row) {
    std::string text;
    const auto add = [&](std::uint8_t one, const char* name) {
        if (row.allows(one)) text += (text.empty() ? "" : ", ") + std::string(name);
    };
    add(method::kSaslTls, "S/TLS");
    add(method::kDialbackTls, "D/TLS");
    add(method::kDialbackClear, "D/TCP");
    return text;
}

TEST(Negotiation, HasTheEighteenRowsOfTheTable) {
    ASSERT_EQ(std::size(kTable), 18U);
    ASSERT_EQ(negotiations().size(), 18U);
    for (const Row& row : kTable) {
        SCOPED_TRACE(testing::Message()
                     << static_cast<int>(row.tls) << static_cast<int>(row.sasl) << row.dialback);
        const Negotiation& got = negotiation(row.tls, row.sasl, row.dialback);
        EXPECT_EQ(got.tls, row.tls);
        EXPECT_EQ(got.sasl, row.sasl);
        EXPECT_EQ(got.dialback, row.dialback);
        EXPECT_EQ(got.valid(), row.methods != nullptr);
        EXPECT_EQ(methods_of(got), row.methods == nullptr ? "" : row.methods);
        EXPECT_EQ(!got.remark.empty(), row.remarked);
        // interworking 10.3: strict unless the row lists D/TLS or D/TCP.
        EXPECT_EQ(got.strict(), row.methods != nullptr && std::string(row.methods) == "S/TLS");
    }
}

// What no row may allow: SASL without TLS, clear text where TLS is demanded, dialback where it is
// off.
TEST(Negotiation, NeverAllowsWhatItsSettingsForbid) {
    for (const Negotiation& row : negotiations()) {
        if (row.tls == kRequired) {
            EXPECT_FALSE(row.allows(method::kDialbackClear));
        }
        if (row.tls == kNone) {
            EXPECT_FALSE(row.allows(method::kSaslTls | method::kDialbackTls));
        }
        if (row.sasl == kNone) {
            EXPECT_FALSE(row.allows(method::kSaslTls));
        }
        if (!row.dialback) {
            EXPECT_FALSE(row.allows(method::kDialbackTls | method::kDialbackClear));
        }
        if (!row.valid()) {
            EXPECT_FALSE(row.remark.empty());
        }
    }
}

// features.md A6.
TEST(Partner, TypesHaveTheEffectsOfTheTable) {
    const TypeEffects& federated = effects(PartnerType::kFederated);
    EXPECT_TRUE(federated.sees_presence_unapproved && federated.may_message_unapproved &&
                federated.sees_note);
    const TypeEffects& verified = effects(PartnerType::kPublicVerified);
    EXPECT_TRUE(verified.sees_presence_unapproved && verified.may_message_unapproved);
    EXPECT_FALSE(verified.sees_note);
    const TypeEffects& unverified = effects(PartnerType::kPublicUnverified);
    EXPECT_FALSE(unverified.sees_presence_unapproved || unverified.may_message_unapproved ||
                 unverified.sees_note);
}

}  // namespace
}  // namespace fedgate::rules
