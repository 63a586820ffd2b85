#include "appliance/admin/words.hpp"

#include <algorithm>
#include <utility>

namespace fedgate::admin {
namespace {

// How many letters differ, roughly: enough for a slip of the finger.
std::size_t slips(std::string_view a, std::string_view b) {
    std::size_t front = 0;
    while (front < a.size() && front < b.size() && a[front] == b[front]) ++front;
    std::size_t back = 0;
    while (back < a.size() - front && back < b.size() - front &&
           a[a.size() - 1 - back] == b[b.size() - 1 - back]) {
        ++back;
    }
    return std::max(a.size(), b.size()) - front - back;
}

}  // namespace

bool is_one_of(std::span<const std::string_view> known, std::string_view typed) {
    return std::ranges::find(known, typed) != known.end();
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> items;
    std::string item;
    for (const char c : text + " ") {
        if (c != ',' && c != ' ') {
            item += c;
        } else if (!item.empty()) {
            items.push_back(std::exchange(item, {}));
        }
    }
    return items;
}

std::string joined(const std::vector<std::string>& items, std::string_view between) {
    std::string text;
    for (const std::string& item : items) {
        if (!text.empty()) text += between;
        text += item;
    }
    return text;
}

std::string unknown(const std::string& what, const std::string& typed,
                    std::span<const std::string_view> known) {
    const auto best = std::ranges::min_element(
        known, {}, [&typed](std::string_view name) { return slips(typed, name); });
    std::string text = what + " '" + typed + "'";
    if (slips(typed, *best) <= 2) text += "; did you mean " + std::string(*best) + "?";
    return text + " (fedctl help)";
}

bool cut_words(const std::vector<std::string>& rest, std::span<const std::string_view> known,
               Words& words, std::string& why) {
    for (std::size_t i = 1; i < rest.size(); ++i) {
        const std::string& word = rest[i];
        if (!word.starts_with("--")) {
            words.words.push_back(word);
        } else if (const bool many = is_one_of(known, word + "+=");
                   many || is_one_of(known, word + "=")) {
            if (i + 1 == rest.size()) {
                why = word + " needs a value";
                return false;
            }
            std::string& value = words.options[word];
            ++i;
            value = many && !value.empty() ? value + "," + rest[i] : rest[i];
        } else if (is_one_of(known, word)) {
            words.options[word] = "yes";
            words.flags.insert(word);
        } else {
            why = rest[0] + " has no option " + word + " (fedctl help)";
            return false;
        }
    }
    return true;
}

void add_options(Json& request, const Words& words) {
    for (const auto& [name, value] : words.options) {
        std::string member = name.substr(2);
        std::ranges::replace(member, '-', '_');
        if (words.flags.contains(name)) {
            request[member] = true;
        } else {
            request[member] = value;
        }
    }
}

}  // namespace fedgate::admin
