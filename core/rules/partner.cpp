#include "core/rules/partner.hpp"

namespace fedgate::rules {

const TypeEffects& effects(PartnerType type) {
    // features.md A6, column by column.
    static constexpr TypeEffects kEffects[] = {
        {true, true, true},     // federated
        {true, true, false},    // public_verified
        {false, false, false},  // public_unverified
    };
    return kEffects[static_cast<std::size_t>(type)];
}

}  // namespace fedgate::rules
