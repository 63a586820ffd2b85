#include "appliance/gateway/errors.hpp"

#include <string>

#include <gtest/gtest.h>

namespace fedgate::gateway {
namespace {

using Condition = xml::StanzaCondition;

std::string text(ErrorKind kind) {
    return std::string(xml::name_of(kind.condition)) + "/" + std::string(xml::name_of(kind.type));
}

TEST(Errors, SipStatusBecomesAStanzaError) {
    struct Row {
        std::uint16_t status;
        const char* expected;
    };
    const Row rows[] = {
        {300, "redirect/modify"},
        {302, "redirect/modify"},
        {305, "redirect/modify"},
        {399, "redirect/modify"},        // ERR-300
        {301, "gone/cancel"},            // ERR-301
        {380, "not-acceptable/modify"},  // ERR-380
        {400, "bad-request/modify"},
        {402, "bad-request/modify"},
        {493, "bad-request/modify"},  // ERR-400
        {499, "bad-request/modify"},
        {422, "bad-request/modify"},
        {494, "bad-request/modify"},     // ERR-4
        {401, "not-authorized/auth"},    // ERR-401
        {403, "forbidden/auth"},         // ERR-403
        {404, "item-not-found/cancel"},  // ERR-404
        {405, "feature-not-implemented/cancel"},
        {420, "feature-not-implemented/cancel"},  // ERR-405
        {439, "feature-not-implemented/cancel"},
        {501, "feature-not-implemented/cancel"},
        {406, "not-acceptable/modify"},
        {415, "not-acceptable/modify"},
        {416, "not-acceptable/modify"},  // ERR-406
        {421, "not-acceptable/modify"},
        {482, "not-acceptable/modify"},
        {483, "not-acceptable/modify"},
        {488, "not-acceptable/modify"},
        {505, "not-acceptable/modify"},
        {606, "not-acceptable/modify"},
        {407, "registration-required/auth"},  // ERR-407
        {408, "remote-server-timeout/wait"},
        {504, "remote-server-timeout/wait"},  // ERR-408
        {410, "gone/cancel"},                 // ERR-410
        {413, "policy-violation/modify"},
        {414, "policy-violation/modify"},
        {440, "policy-violation/modify"},  // ERR-413
        {489, "policy-violation/modify"},
        {513, "policy-violation/modify"},
        {423, "resource-constraint/wait"},  // ERR-423
        {430, "recipient-unavailable/wait"},
        {480, "recipient-unavailable/wait"},  // ERR-480
        {486, "recipient-unavailable/wait"},
        {487, "recipient-unavailable/wait"},
        {600, "recipient-unavailable/wait"},
        {603, "recipient-unavailable/wait"},
        {607, "recipient-unavailable/wait"},
        {481, "item-not-found/cancel"},
        {484, "item-not-found/cancel"},
        {485, "item-not-found/cancel"},  // ERR-481
        {604, "item-not-found/cancel"},
        {491, "unexpected-request/wait"},  // ERR-491
        {500, "internal-server-error/cancel"},
        {503, "internal-server-error/cancel"},  // ERR-500
        {580, "internal-server-error/cancel"},
        {599, "internal-server-error/cancel"},
        {502, "remote-server-not-found/cancel"},  // ERR-502
    };
    for (const Row& row : rows)
        EXPECT_EQ(text(stanza_error_of_status(row.status)), row.expected) << row.status;
}

TEST(Errors, FaultsOfOursBecomeStanzaErrors) {
    EXPECT_EQ(text(stanza_error(LocalFault::kNoNextHop)),
              "remote-server-not-found/cancel");  // ERR-L2
    EXPECT_EQ(text(stanza_error(LocalFault::kUnreachable)),
              "remote-server-timeout/wait");                                            // ERR-L3
    EXPECT_EQ(text(stanza_error(LocalFault::kTimeout)), "remote-server-timeout/wait");  // ERR-408
    EXPECT_EQ(text(stanza_error(LocalFault::kOverload)), "resource-constraint/wait");   // ERR-L4
    EXPECT_EQ(text(stanza_error(LocalFault::kDraining)), "resource-constraint/wait");
    EXPECT_EQ(text(stanza_error(LocalFault::kPolicy)), "policy-violation/modify");      // ERR-L5
    EXPECT_EQ(text(stanza_error(LocalFault::kRate)), "policy-violation/wait");          // ERR-L5
    EXPECT_EQ(text(stanza_error(LocalFault::kLoop)), "policy-violation/modify");        // SEC-3
    EXPECT_EQ(text(stanza_error(LocalFault::kQuota)), "resource-constraint/wait");      // SEC-4
    EXPECT_EQ(text(stanza_error(LocalFault::kPayload)), "service-unavailable/cancel");  // ERR-L6
    EXPECT_EQ(text(stanza_error(LocalFault::kAddress)), "jid-malformed/modify");        // ERR-L7
    EXPECT_EQ(text(stanza_error(LocalFault::kTooLarge)),
              "policy-violation/modify");  // IM-18, IM-19
}

TEST(Errors, StanzaErrorsBecomeSipStatus) {  // ERR-12: the failing address was a full or a bare JID
    struct Row {
        Condition condition;
        std::uint16_t full;
        std::uint16_t bare;
    };
    const Row rows[] = {
        {Condition::kBadRequest, 400, 400},
        {Condition::kConflict, 400, 400},  // ERR-20
        {Condition::kJidMalformed, 400, 400},
        {Condition::kSubscriptionRequired, 400, 400},
        {Condition::kUndefinedCondition, 400, 400},
        {Condition::kFeatureNotImplemented, 405, 501},  // ERR-21
        {Condition::kForbidden, 403, 603},              // ERR-22
        {Condition::kGone, 410, 410},                   // ERR-24
        {Condition::kInternalServerError, 500, 500},
        {Condition::kResourceConstraint, 500, 500},  // ERR-25
        {Condition::kItemNotFound, 404, 604},        // ERR-26
        {Condition::kNotAcceptable, 406, 606},       // ERR-27
        {Condition::kNotAllowed, 403, 403},
        {Condition::kPolicyViolation, 403, 403},       // ERR-28
        {Condition::kNotAuthorized, 403, 403},         // ERR-29
        {Condition::kRecipientUnavailable, 480, 600},  // ERR-30
        {Condition::kRedirect, 480, 480},              // ERR-31, no address
        {Condition::kRegistrationRequired, 403, 403},  // ERR-32
        {Condition::kRemoteServerNotFound, 404, 404},  // ERR-33
        {Condition::kRemoteServerTimeout, 408, 408},   // ERR-34
        {Condition::kServiceUnavailable, 405, 403},    // ERR-35
        {Condition::kUnexpectedRequest, 400, 400},     // ERR-36
    };
    for (const Row& row : rows) {
        EXPECT_EQ(sip_answer(row.condition, true, false, false).status, row.full)
            << xml::name_of(row.condition);
        EXPECT_EQ(sip_answer(row.condition, false, false, false).status, row.bare)
            << xml::name_of(row.condition);
    }
    for (const bool full : {false, true}) {  // ERR-30, ERR-35: never a 6xx to Lync
        EXPECT_EQ(sip_answer(Condition::kRecipientUnavailable, full, false, false, true).status,
                  480);
        EXPECT_EQ(sip_answer(Condition::kServiceUnavailable, full, false, false, true).status, 480);
        EXPECT_EQ(sip_answer(Condition::kForbidden, full, false, false, true).status,
                  full ? 403 : 603);
    }
    EXPECT_EQ(sip_answer(Condition::kGone, true, false, true).status, 301);      // ERR-23
    EXPECT_EQ(sip_answer(Condition::kRedirect, true, false, true).status, 302);  // ERR-31
    EXPECT_EQ(sip_answer(Condition::kRemoteServerTimeout, true, true, false).status,
              504);  // ERR-34
    EXPECT_EQ(sip_answer(Condition::kResourceConstraint, true, false, false).retry_after,
              30);  // ERR-25
}

TEST(Errors, FaultsOfTheLinkBecomeSipStatus) {
    using link::Fault;
    EXPECT_EQ(sip_answer(Fault::kNoSuchDomain, false),
              (SipAnswer{404, "Domain Not Found"}));                // ERR-40, ERR-43
    EXPECT_EQ(sip_answer(Fault::kUnreachable, false).status, 408);  // ERR-41
    EXPECT_EQ(sip_answer(Fault::kUnreachable, true).status, 504);   // ERR-41
    EXPECT_EQ(sip_answer(Fault::kNotTrusted, false),
              (SipAnswer{403, "Federation Not Possible"}));                         // ERR-42
    EXPECT_EQ(sip_answer(Fault::kRemoteDenied, false).status, 403);                 // ERR-44
    EXPECT_EQ(sip_answer(Fault::kRemoteFailing, false), (SipAnswer{500, {}, 30}));  // ERR-45
    EXPECT_EQ(sip_answer(Fault::kQueueFull, false), (SipAnswer{500, {}, 30}));      // ERR-45
    EXPECT_EQ(sip_answer(Fault::kBlocked, false).status, 403);                      // ERR-46
    EXPECT_EQ(sip_answer(Fault::kExpired, true).status, 504);                       // ERR-34
    EXPECT_EQ(sip_answer(Fault::kTooLong, false).status, 413);                      // XEP-0478
}

}  // namespace
}  // namespace fedgate::gateway
