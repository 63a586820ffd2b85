#include "appliance/admin/tool_verbs.hpp"

#include <charconv>
#include <istream>
#include <iterator>
#include <ostream>
#include <utility>

#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "core/base/file.hpp"

namespace fedgate::admin {

ToolVerbs::ToolVerbs(ToolTerminal terminal)
    : terminal_(std::move(terminal)), out_(terminal_.out), err_(terminal_.err) {}

int ToolVerbs::usage(const std::string& text) const {
    err_ << "fedctl: " << text << "\n";
    return kExitUsage;
}

int ToolVerbs::fail(const std::string& text) const {
    err_ << "fedctl: " << text << "\n";
    return kExitRefused;
}

int ToolVerbs::tell(const Json& request, const Show& show,
                    const std::function<void(Json&)>& prepare) const {
    Json answer;
    std::string why;
    if (!terminal_.ask(request, answer, why)) return fail(why);
    if (prepare) prepare(answer);
    const bool good = bool_of(answer, "ok");
    if (terminal_.json) {
        out_ << write_json(answer) << "\n";
        return good ? kExitOk : kExitRefused;
    }
    if (good || answer.contains("keys")) out_ << for_terminal(show(answer));
    if (good) return kExitOk;
    const auto errors = answer.find("errors");
    if (errors != answer.end() && errors->is_array()) {
        for (const Json& error : *errors) {
            if (error.is_string())
                err_ << "fedctl: " << for_terminal(error.get<std::string>()) << "\n";
        }
    }
    const std::string error = string_of(answer, "error");
    if (!error.empty()) err_ << "fedctl: " << for_terminal(error) << "\n";
    return kExitRefused;
}

int ToolVerbs::tell_found(const Json& found, const Show& show, const std::string& why) const {
    if (found.is_null() || found.empty()) return fail(why);
    out_ << (terminal_.json ? write_json(found) + "\n" : for_terminal(show(found)));
    return bool_of(found, "good") ? kExitOk : kExitRefused;
}

bool ToolVerbs::read_input(const std::string& file, std::string& text, std::string& why) const {
    if (file != "-") return read_file(file, text, why);
    text.assign(std::istreambuf_iterator<char>(terminal_.in), {});
    return true;
}

bool ToolVerbs::read_number(const std::string& text, std::uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace fedgate::admin
