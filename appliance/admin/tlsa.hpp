// TLSA records of our edges: which certificate is theirs, said by DNS where DNSSEC vouches for it
// (RFC 6698, RFC 7673). Reads files; for fedctl.
#pragma once

#include <string>
#include <vector>

#include "appliance/admin/json.hpp"
#include "net/resolver.hpp"

namespace fedgate::admin {

// Zone lines for each edge and port of a `dns plan`, of the key in use and of the scheduled one.
// False: `why`.
[[nodiscard]] bool plan_tlsa(const Json& plan, std::vector<std::string>& lines, std::string& why);

// `_5269._tcp.edge1.example`
[[nodiscard]] std::string tlsa_name(const Json& record);
// Is one of these of our certificate?
enum class TlsaVerdict : std::uint8_t { kOurs, kAnothers, kNothing };  // that one understands
[[nodiscard]] TlsaVerdict judge_tlsa(const Json& plan, const std::vector<net::TlsaRecord>&);

}  // namespace fedgate::admin
