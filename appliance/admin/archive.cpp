#include "appliance/admin/archive.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace fedgate::admin {
namespace {

constexpr std::size_t kTarBlock = 512;
constexpr std::size_t kTarNameBytes = 100;
constexpr std::size_t kTarChecksumAt = 148;

struct TarField {
    std::size_t at;
    std::size_t size;
};
constexpr TarField kTarName{0, kTarNameBytes};
constexpr TarField kTarMode{100, 8};
constexpr TarField kTarSize{124, 12};
constexpr TarField kTarTime{136, 12};
constexpr TarField kTarChecksum{kTarChecksumAt, 8};
constexpr TarField kTarType{156, 1};
constexpr TarField kTarUstar{257, 8};
constexpr TarField kTarOwner{265, 32};
constexpr TarField kTarGroup{297, 32};
constexpr Bytes kTarUstarValue("ustar\00000", 8);

void put_tar_text(std::string& head, TarField field, Bytes text) {
    text.copy(head.data() + field.at, std::min(text.size(), field.size));
}

void put_tar_octal(std::string& head, TarField field, std::uint64_t number) {
    std::string text(field.size - 1, '0');
    for (std::size_t i = text.size(); i > 0 && number != 0; number >>= 3)
        text[--i] = static_cast<char>('0' + (number & 7));
    put_tar_text(head, field, text);
}

Bytes tar_text(Bytes head, TarField field) {
    const Bytes text = head.substr(field.at, field.size);
    return text.substr(0, text.find('\0'));
}

bool tar_number(Bytes head, TarField field, std::uint64_t& number) {
    Bytes text = tar_text(head, field);
    while (text.ends_with(' ')) text.remove_suffix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 8);
    return error == std::errc{} && end == text.data() + text.size();
}

// Of its bytes, with blanks where it stands itself.
std::uint64_t tar_checksum(Bytes head) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kTarBlock; ++i) {
        const bool itself = i >= kTarChecksumAt && i < kTarChecksumAt + kTarChecksum.size;
        sum += itself ? ' ' : static_cast<unsigned char>(head[i]);
    }
    return sum;
}

std::size_t tar_padded(std::size_t size) { return (size + kTarBlock - 1) / kTarBlock * kTarBlock; }

}  // namespace

bool is_archive_name(std::string_view name) {
    const auto is_part = [](std::string_view part) {
        return !part.empty() && part != "." && part != "..";
    };
    if (name.empty() || name.size() >= kTarNameBytes || name.front() == ' ' || name.back() == ' ')
        return false;
    if (!std::ranges::all_of(name, [](unsigned char c) { return c >= ' ' && c < 0x7f; }))
        return false;
    while (true) {
        const std::size_t slash = name.find('/');
        if (!is_part(name.substr(0, slash))) return false;
        if (slash == std::string_view::npos) return true;
        name.remove_prefix(slash + 1);
    }
}

std::string write_archive(const std::vector<ArchivedFile>& files) {
    std::string text;
    for (const ArchivedFile& file : files) {
        std::string head(kTarBlock, '\0');
        put_tar_text(head, kTarName, file.name);
        put_tar_octal(head, kTarMode, file.mode);
        put_tar_octal(head, kTarSize, file.content.size());
        put_tar_octal(head, kTarTime,
                      static_cast<std::uint64_t>(std::max<std::int64_t>(file.changed, 0)));
        put_tar_text(head, kTarType, "0");
        put_tar_text(head, kTarUstar, kTarUstarValue);
        put_tar_text(head, kTarOwner, Bytes(file.owner).substr(0, kTarOwner.size - 1));
        put_tar_text(head, kTarGroup, Bytes(file.group).substr(0, kTarGroup.size - 1));
        put_tar_octal(head, {kTarChecksumAt, kTarChecksum.size - 1}, tar_checksum(head));
        head[kTarChecksumAt + kTarChecksum.size - 1] = ' ';
        text += head;
        text += file.content;
        text.append(tar_padded(file.content.size()) - file.content.size(), '\0');
    }
    text.append(2 * kTarBlock, '\0');
    return text;
}

bool read_archive(Bytes text, std::vector<ArchivedFile>& files, std::string& why) {
    std::set<std::string> names;
    while (true) {
        if (text.size() < kTarBlock) return why = "ends within a file", false;
        const Bytes head = text.substr(0, kTarBlock);
        if (head.find_first_not_of('\0') == Bytes::npos) return true;
        std::uint64_t sum = 0;
        std::uint64_t size = 0;
        std::uint64_t mode = 0;
        std::uint64_t time = 0;
        if (!tar_number(head, kTarChecksum, sum) || sum != tar_checksum(head) ||
            !tar_number(head, kTarSize, size) || !tar_number(head, kTarMode, mode) ||
            !tar_number(head, kTarTime, time)) {
            return why = "has a head of a file that is not valid", false;
        }
        const std::string name(tar_text(head, kTarName));
        if (head[kTarType.at] != '0' || !is_archive_name(name) || !names.insert(name).second)
            return why = "has a file that does not belong there", false;
        if (files.size() == kArchiveFiles)
            return why = "has more than " + std::to_string(kArchiveFiles) + " files", false;
        text.remove_prefix(kTarBlock);
        // Compared without padding first: a size near 2^64 must not become a small one.
        if (size > text.size() || tar_padded(size) > text.size())
            return why = "ends within a file", false;
        files.push_back({name, std::string(text.substr(0, size)),
                         static_cast<unsigned>(mode & 0777), static_cast<std::int64_t>(time),
                         std::string(tar_text(head, kTarOwner)),
                         std::string(tar_text(head, kTarGroup))});
        text.remove_prefix(tar_padded(size));
    }
}

}  // namespace fedgate::admin
