// The one door to nlohmann's JSON: control thread and fedctl only, never on a core's thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fedgate::admin {

using Json = nlohmann::ordered_json;

// Discarded (is_discarded()) when it is not JSON.
inline Json parse_json(std::string_view text) { return Json::parse(text, nullptr, false); }

// One line. What is not UTF-8 is replaced: peers' names must not be able to break an answer.
inline std::string write_json(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A member of that type, or the fallback.
inline std::string string_of(const Json& json, const char* name, std::string fallback = "") {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : fallback;
}
inline std::uint64_t number_of(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_number() ? found->get<std::uint64_t>() : 0;
}
inline bool bool_of(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace fedgate::admin
