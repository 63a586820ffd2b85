#include "appliance/admin/appliance_verbs.hpp"

#include "appliance/admin/answers.hpp"
#include "appliance/admin/certificates.hpp"
#include "core/base/file.hpp"

namespace fedgate::admin {

Json answer_appliance(const Json& request, const AppliancePlaces& places) {
    const std::string action = string_of(request, "action");
    std::string page;
    std::string why;
    if (!read_regular_file(places.page, page, why))
        return refusal("this machine is no appliance: " + places.page + " " + why);
    if (action == "show") return {{"ok", true}, {"page", page}};
    if (action != "reset") return refusal("appliance has no action '" + action.substr(0, 64) + "'");
    if (!write_owned_file(places.wish, "", true, why)) return refusal(why);
    return {{"ok", true}, {"resetting", true}};
}

}  // namespace fedgate::admin
