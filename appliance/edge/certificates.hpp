// The TLS contexts of one shard's edge: ours towards everybody, and the same with another set of
// roots for each partner that has one (partner/*/ca). Made on the control thread, swapped whole.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/rules/partner.hpp"
#include "net/tls.hpp"

namespace fedgate::edge {

struct Certificates {
    std::unique_ptr<net::TlsContext> external;
    std::map<std::string, std::unique_ptr<net::TlsContext>> by_ca;  // path of the roots

    // `partner` null: not known yet, so the common roots judge.
    [[nodiscard]] net::TlsContext& of(const rules::Partner* partner) const {
        if (partner != nullptr && !partner->ca.empty()) {
            const auto found = by_ca.find(partner->ca);
            if (found != by_ca.end()) return *found->second;
        }
        return *external;
    }
};

}  // namespace fedgate::edge
