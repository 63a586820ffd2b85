// fedctl's side of admin.remote.listen: one request, one answer. Blocking.
#pragma once

#include <string>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// NAME[:PORT] is whom it must be: a dNSName of its certificate.
struct RemoteServer {
    std::string host;
    std::string address;      // where that is; empty: as DNS says
    std::string certificate;  // PEM files
    std::string key;
    std::string authority;
};

// False: `why` is a sentence for people.
[[nodiscard]] bool ask_remote(const RemoteServer&, const Json& request, Json& answer,
                              std::string& why);

}  // namespace fedgate::admin
