// What a user agent server asks of any request before its method's own rules: RFC 3261 8.2.
// Pure. The caller writes the answer.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "core/base/bytes.hpp"
#include "sip/message.hpp"

namespace fedgate::sip {

struct MethodSet {
    std::uint32_t bits = 0;
    constexpr MethodSet() = default;
    constexpr MethodSet(std::initializer_list<Method> methods) {
        for (const Method method : methods) bits |= 1u << static_cast<unsigned>(method);
    }
    [[nodiscard]] constexpr bool has(Method method) const {
        return ((bits >> static_cast<unsigned>(method)) & 1u) != 0;
    }
};

// 0: go on. 405: not in `allowed`, answer with write_allow(). 483: hops are used up (SIP-17). 420:
// answer with write_unsupported() (SIP-18, SIP-47).
[[nodiscard]] std::uint16_t check_request(const Message& request, MethodSet allowed);

void write_allow(Sink&, MethodSet allowed);             // the whole Allow line
void write_unsupported(Sink&, const Message& request);  // the whole Unsupported line

}  // namespace fedgate::sip
