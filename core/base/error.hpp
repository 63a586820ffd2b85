// Error and Result<T>: how an operating error (peer, disk, kernel, configuration) travels.
// An Error is trivially copyable: a code, the errno if there was one, and a literal that says
// where. It is logged once, by the one who decides what to do about it.
#pragma once

#include <cstdint>
#include <expected>
#include <utility>

namespace fedgate {

enum class Errc : std::uint8_t {
    kMalformed,    // input is not what its protocol allows
    kLimit,        // a bound of ours was reached
    kTimeout,      // nothing came in time
    kRefused,      // the other side said no
    kReset,        // the connection broke
    kNotFound,     // no such name, key or record
    kDenied,       // policy says no
    kCertificate,  // a certificate or key can't be used or does not prove the name
    kTls,          // a handshake or record failed
    kSystem,       // the kernel said no; see `system`
    kUnsupported,  // valid, but not available here
    kClosed,       // the object is being closed
};

struct Error {
    Errc code;
    int system = 0;          // errno, or 0
    const char* where = "";  // a string literal
};

template <typename T>
using Result = std::expected<T, Error>;

using Failure = std::unexpected<Error>;

inline Failure failure(Errc code, const char* where, int system = 0) {
    return Failure{Error{code, system, where}};
}

}  // namespace fedgate

// FEDGATE_TRY(name, expression): declares `name` as the value, or returns the error to the caller.
#define FEDGATE_TRY(name, expression)                                     \
    auto name##_result = (expression);                                    \
    if (!name##_result) return ::fedgate::Failure{name##_result.error()}; \
    auto& name = *name##_result
