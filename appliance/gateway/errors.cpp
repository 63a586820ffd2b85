#include "appliance/gateway/errors.hpp"

namespace fedgate::gateway {
namespace {

using xml::ErrorType;
using Condition = xml::StanzaCondition;

struct StatusRow {
    std::uint16_t status;
    ErrorKind kind;
};

constexpr ErrorKind kRedirect{Condition::kRedirect, ErrorType::kModify};
constexpr ErrorKind kBadRequest{Condition::kBadRequest, ErrorType::kModify};
constexpr ErrorKind kNotImplemented{Condition::kFeatureNotImplemented, ErrorType::kCancel};
constexpr ErrorKind kNotAcceptable{Condition::kNotAcceptable, ErrorType::kModify};
constexpr ErrorKind kNotFound{Condition::kItemNotFound, ErrorType::kCancel};
constexpr ErrorKind kTimeout{Condition::kRemoteServerTimeout, ErrorType::kWait};
constexpr ErrorKind kPolicy{Condition::kPolicyViolation, ErrorType::kModify};
constexpr ErrorKind kUnavailable{Condition::kRecipientUnavailable, ErrorType::kWait};
constexpr ErrorKind kInternal{Condition::kInternalServerError, ErrorType::kCancel};
constexpr ErrorKind kGone{Condition::kGone, ErrorType::kCancel};
constexpr ErrorKind kNoServer{Condition::kRemoteServerNotFound, ErrorType::kCancel};

// RFC 7247 table 3; only what the class rule (ERR-4) does not give.
constexpr StatusRow kStatusRows[] = {
    {301, kGone},                                          // ERR-301
    {380, kNotAcceptable},                                 // ERR-380
    {401, {Condition::kNotAuthorized, ErrorType::kAuth}},  // ERR-401
    {403, {Condition::kForbidden, ErrorType::kAuth}},      // ERR-403
    {404, kNotFound},                                      // ERR-404
    {405, kNotImplemented},
    {420, kNotImplemented},  // ERR-405
    {439, kNotImplemented},
    {501, kNotImplemented},
    {406, kNotAcceptable},
    {415, kNotAcceptable},
    {416, kNotAcceptable},  // ERR-406
    {421, kNotAcceptable},
    {482, kNotAcceptable},
    {483, kNotAcceptable},
    {488, kNotAcceptable},
    {505, kNotAcceptable},
    {606, kNotAcceptable},
    {407, {Condition::kRegistrationRequired, ErrorType::kAuth}},  // ERR-407
    {408, kTimeout},
    {504, kTimeout},  // ERR-408
    {410, kGone},     // ERR-410
    {413, kPolicy},
    {414, kPolicy},
    {440, kPolicy},  // ERR-413
    {489, kPolicy},
    {513, kPolicy},
    {423, {Condition::kResourceConstraint, ErrorType::kWait}},  // ERR-423
    {430, kUnavailable},
    {480, kUnavailable},
    {486, kUnavailable},  // ERR-480
    {487, kUnavailable},
    {481, kNotFound},
    {484, kNotFound},
    {485, kNotFound},  // ERR-481
    {604, kNotFound},
    {491, {Condition::kUnexpectedRequest, ErrorType::kWait}},  // ERR-491
    {502, kNoServer},                                          // ERR-502
};

struct LocalRow {
    LocalFault fault;
    ErrorKind kind;
    Bytes text;
};

constexpr LocalRow kLocalRows[] = {
    {LocalFault::kNoNextHop, kNoServer, "No SIP server was found for the domain"},
    {LocalFault::kUnreachable, kTimeout, "The SIP server could not be reached"},
    {LocalFault::kTimeout, kTimeout, "The SIP server did not answer"},
    {LocalFault::kInDoubt, kTimeout,
     "The SIP server did not answer; the message may or may not have arrived"},
    {LocalFault::kOverload,
     {Condition::kResourceConstraint, ErrorType::kWait},
     "Too much is waiting"},
    {LocalFault::kPolicy, kPolicy, "Not allowed by policy"},
    {LocalFault::kRate, {Condition::kPolicyViolation, ErrorType::kWait}, "Too many messages"},
    {LocalFault::kLoop, kPolicy, "The same message came again and again"},
    {LocalFault::kQuota,
     {Condition::kResourceConstraint, ErrorType::kWait},
     "Too many presence subscriptions"},
    {LocalFault::kPayload, {Condition::kServiceUnavailable, ErrorType::kCancel}, {}},
    {LocalFault::kAddress, {Condition::kJidMalformed, ErrorType::kModify}, {}},
    {LocalFault::kTooLarge, kPolicy, "The message is too large"},
    {LocalFault::kDraining,
     {Condition::kResourceConstraint, ErrorType::kWait},
     "The gateway is stopping"},
    {LocalFault::kEncrypted,
     {Condition::kNotAcceptable, ErrorType::kModify},
     "Messages that are encrypted end to end can't be carried to SIP; send it without"},
};

const LocalRow& local_row(LocalFault fault) {
    const LocalRow& row = kLocalRows[static_cast<std::size_t>(fault)];
    FEDGATE_CHECK(row.fault == fault);
    return row;
}

struct ConditionRow {
    Condition condition;
    SipAnswer full;
    SipAnswer bare;
};

// RFC 7247 table 2. What is not listed is ERR-20: 400.
constexpr ConditionRow kConditionRows[] = {
    {Condition::kFeatureNotImplemented, {405, {}}, {501, {}}},       // ERR-21
    {Condition::kForbidden, {403, {}}, {603, {}}},                   // ERR-22
    {Condition::kInternalServerError, {500, {}}, {500, {}}},         // ERR-25
    {Condition::kResourceConstraint, {500, {}, 30}, {500, {}, 30}},  // ERR-25
    {Condition::kItemNotFound, {404, {}}, {604, {}}},                // ERR-26
    {Condition::kNotAcceptable, {406, {}}, {606, {}}},               // ERR-27
    {Condition::kNotAllowed, {403, {}}, {403, {}}},                  // ERR-28
    {Condition::kPolicyViolation, {403, {}}, {403, {}}},             // ERR-28
    {Condition::kNotAuthorized, {403, {}}, {403, {}}},               // ERR-29
    {Condition::kRecipientUnavailable, {480, {}}, {600, {}}},        // ERR-30
    {Condition::kRegistrationRequired, {403, {}}, {403, {}}},        // ERR-32
    {Condition::kRemoteServerNotFound, {404, {}}, {404, {}}},        // ERR-33
    {Condition::kServiceUnavailable, {405, {}}, {403, {}}},          // ERR-35
};

}  // namespace

ErrorKind stanza_error(LocalFault fault) { return local_row(fault).kind; }

Bytes explain(LocalFault fault) { return local_row(fault).text; }

ErrorKind stanza_error_of_status(std::uint16_t status) {
    for (const StatusRow& row : kStatusRows) {
        if (row.status == status) return row.kind;
    }
    switch (status / 100) {  // ERR-4
        case 3: return kRedirect;
        case 4: return kBadRequest;
        case 5: return kInternal;
        default: return kUnavailable;
    }
}

SipAnswer sip_answer(Condition condition, bool full, bool waited, bool address_mapped, bool lync) {
    switch (condition) {
        case Condition::kRecipientUnavailable:
        case Condition::kServiceUnavailable:
            if (lync) return {480, {}};
            break;
        case Condition::kGone:
            return {address_mapped ? std::uint16_t{301} : std::uint16_t{410},
                    {}};  // ERR-23, ERR-24
        case Condition::kRedirect:
            return {address_mapped ? std::uint16_t{302} : std::uint16_t{480}, {}};  // ERR-31
        case Condition::kRemoteServerTimeout:
            return {waited ? std::uint16_t{504} : std::uint16_t{408}, {}};  // ERR-34
        default: break;
    }
    for (const ConditionRow& row : kConditionRows) {
        if (row.condition == condition) return full ? row.full : row.bare;
    }
    return {400, {}};  // ERR-20, ERR-36
}

SipAnswer sip_answer(link::Fault fault, bool waited) {
    switch (fault) {
        case link::Fault::kNoSuchDomain: return {404, "Domain Not Found"};  // ERR-40, ERR-43
        case link::Fault::kUnreachable:                                     // ERR-41
        case link::Fault::kExpired: return {waited ? std::uint16_t{504} : std::uint16_t{408}, {}};
        case link::Fault::kNotTrusted: return {403, "Federation Not Possible"};  // ERR-42
        case link::Fault::kRemoteDenied: return {403, {}};                       // ERR-44
        case link::Fault::kBlocked: return {403, {}};                            // ERR-46
        case link::Fault::kTooLong: return {413, {}};                            // as IM-19
        case link::Fault::kRemoteFailing:                                        // ERR-45
        case link::Fault::kQueueFull: return {500, {}, 30};
        case link::Fault::kNone: break;
    }
    return {500, {}};
}

}  // namespace fedgate::gateway
