// fedctl cert: keys, requests and certificates of this machine. All but the assignment is done by
// fedctl itself, on files, with or without a running daemon: a private key is made where it stays,
// and never passes the socket.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

struct CertificateToolOptions {
    std::istream& in;
    std::ostream& out;
    std::ostream& err;
    bool json = false;
    bool terminal = false;  // somebody can be asked
    // Asks the daemon. False: the text says why.
    std::function<bool(const Json& request, Json& answer, std::string& why)> ask;
    Json* answer = nullptr;  // gets what --json would print
};

// `words`: `request ...`, as typed. Returns the exit status.
[[nodiscard]] int run_certificate_tool(const CertificateToolOptions&,
                                       const std::vector<std::string>& words);

}  // namespace fedgate::admin
