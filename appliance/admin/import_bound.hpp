// What an import says at its bound. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fedgate::admin {

inline std::string too_many(std::size_t most, std::string_view what) {
    return "there are more than " + std::to_string(most) + " " + std::string(what) +
           " in it; import it in parts";
}

}  // namespace fedgate::admin
