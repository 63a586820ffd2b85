#include "appliance/store/pages.hpp"

#include <algorithm>

namespace fedgate::store {
namespace {

constexpr unsigned char kInner = 0x02;  // of an index, which a table WITHOUT ROWID is
constexpr unsigned char kLeaf = 0x0a;
constexpr std::size_t kPayloadMax = 1 << 20;

// Of an index, of what is in its page of a payload: all up to kLocalMax, else at least kLocalMin.
constexpr std::size_t kLocalMax = (kPageBytes - 12) * 64 / 255 - 23;
constexpr std::size_t kLocalMin = (kPageBytes - 12) * 32 / 255 - 23;

std::uint32_t number_at(const unsigned char* at, std::size_t bytes) {
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < bytes; ++i) number = number << 8 | at[i];
    return number;
}

// Takes a varint off the front. None: it goes on beyond the end.
std::optional<std::uint64_t> take_varint(Bytes& bytes) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size(), 9); ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        const bool last = i == 8 || byte < 0x80;
        number = i == 8 ? number << 8 | byte : number << 7 | (byte & 0x7f);
        if (!last) continue;
        bytes.remove_prefix(i + 1);
        return number;
    }
    return std::nullopt;
}

// Values of a record, one after the other.
class Record {
public:
    explicit Record(Bytes record) : body_(record), header_(record) {
        const auto size = take_varint(header_);
        const std::size_t used = record.size() - header_.size();
        good_ = size && *size >= used && *size <= record.size();
        if (!good_) return;
        header_ = header_.substr(0, *size - used);
        body_ = record.substr(*size);
    }

    Bytes take_bytes() {
        const std::uint64_t type = take_type();
        if (type < 12) good_ = false;
        return take(type < 12 ? 0 : (type - 12) / 2);
    }
    std::int64_t take_number() {
        constexpr std::array<std::size_t, 7> kSizes = {0, 1, 2, 3, 4, 6, 8};
        const std::uint64_t type = take_type();
        if (type == 8 || type == 9) return static_cast<std::int64_t>(type - 8);
        if (type == 0 || type > 6) good_ = false;
        const Bytes bytes = take(type > 6 ? 0 : kSizes[type]);
        std::uint64_t number =
            !bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0x80) != 0 ? ~0ULL : 0;
        for (const char c : bytes) number = number << 8 | static_cast<unsigned char>(c);
        return static_cast<std::int64_t>(number);
    }
    // It was as long as it says, so far.
    [[nodiscard]] bool good() const { return good_; }

private:
    std::uint64_t take_type() {
        const auto type = take_varint(header_);
        if (!type) good_ = false;
        return type.value_or(0);
    }
    Bytes take(std::uint64_t size) {
        if (size > body_.size()) good_ = false;
        const Bytes bytes = body_.substr(0, size);
        body_.remove_prefix(bytes.size());
        return bytes;
    }

    Bytes body_;
    Bytes header_;
    bool good_ = false;
};

}  // namespace

Pages::Pages(const Connection& connection) {
    sqlite3_file_control(connection.handle(), "main", SQLITE_FCNTL_FILE_POINTER,
                         static_cast<void*>(&file_));
    sqlite3_int64 size = 0;
    if (file_ == nullptr || file_->pMethods == nullptr ||
        file_->pMethods->xFileSize(file_, &size) != SQLITE_OK) {
        return;
    }
    count_ = static_cast<std::uint32_t>(size / static_cast<sqlite3_int64>(kPageBytes));
    seen_.resize(count_ + 1U);
}

bool Pages::read(std::uint32_t number, Page& page) const {
    if (number == 0 || number > count_) return false;
    return file_->pMethods->xRead(file_, page.data(), static_cast<int>(page.size()),
                                  static_cast<sqlite3_int64>(number - 1) *
                                      static_cast<sqlite3_int64>(kPageBytes)) == SQLITE_OK;
}

bool Pages::walk(const Visitor& visit) {
    if (!walk_from(kRowsRoot, visit)) return false;
    // What the tree has lost. A page that is free has rows that are no more: where it is not known
    // which are free, none is taken.
    if (bad_ == 0 || !mark_free_pages()) return true;
    for (std::uint32_t number = kRowsRoot + 1; number <= count_; ++number) {
        if (seen_[number]) continue;
        Page page;
        if (!read(number, page) || (page[0] != kLeaf && page[0] != kInner)) continue;
        if (!walk_from(number, visit)) return false;
    }
    return true;
}

bool Pages::walk_from(std::uint32_t root, const Visitor& visit) {
    std::vector<std::uint32_t> below{root};
    while (!below.empty()) {
        const std::uint32_t number = below.back();
        below.pop_back();
        Page page;
        if (number > count_ || number == 0) {
            ++bad_;
            continue;
        }
        if (seen_[number]) continue;
        seen_[number] = true;
        if (!read(number, page) || (page[0] != kLeaf && page[0] != kInner)) {
            ++bad_;
            continue;
        }
        if (!walk_page(page, below, visit)) return false;
    }
    return true;
}

bool Pages::walk_page(const Page& page, std::vector<std::uint32_t>& below, const Visitor& visit) {
    const bool inner = page[0] == kInner;
    const std::size_t header = inner ? 12 : 8;
    const std::size_t cells = number_at(&page[3], 2);
    if (header + 2 * cells > kPageBytes) {
        ++bad_;
        return true;
    }
    if (inner) below.push_back(number_at(&page[8], 4));
    for (std::size_t i = 0; i < cells; ++i) {
        std::size_t at = number_at(&page[header + 2 * i], 2);
        if (at < header || at + 4 > kPageBytes) continue;
        if (inner) {
            below.push_back(number_at(&page[at], 4));
            at += 4;
        }
        const std::optional<Bytes> record = payload(page, at);
        if (!record) continue;
        Record values(*record);
        Columns columns;
        columns.kind = values.take_bytes();
        columns.xmpp = values.take_bytes();
        columns.sip = values.take_bytes();
        columns.auth = values.take_number();
        columns.changed = values.take_number();
        columns.detail = values.take_bytes();
        columns.crc = values.take_number();
        if (values.good() && !visit(columns)) return false;
    }
    return true;
}

std::optional<Bytes> Pages::payload(const Page& page, std::size_t at) {
    Bytes rest(reinterpret_cast<const char*>(page.data()) + at, kPageBytes - at);
    const auto size = take_varint(rest);
    if (!size || *size > kPayloadMax) return std::nullopt;
    if (*size <= kLocalMax) {
        if (rest.size() < *size) return std::nullopt;
        return rest.substr(0, *size);
    }
    constexpr std::size_t kOnOtherPage = kPageBytes - 4;
    std::size_t local = kLocalMin + (*size - kLocalMin) % kOnOtherPage;
    if (local > kLocalMax) local = kLocalMin;
    if (rest.size() < local + 4) return std::nullopt;
    long_.assign(rest.substr(0, local));
    const unsigned char* next = reinterpret_cast<const unsigned char*>(rest.data()) + local;
    Page more;
    while (long_.size() < *size) {
        if (!read(number_at(next, 4), more)) return std::nullopt;
        const std::size_t wanted = std::min<std::size_t>(*size - long_.size(), kOnOtherPage);
        long_.append(reinterpret_cast<const char*>(more.data()) + 4, wanted);
        next = more.data();
    }
    return Bytes(long_);
}

bool Pages::mark_free_pages() {
    Page page;
    if (!read(1, page)) return false;
    std::uint32_t trunk = number_at(&page[32], 4);
    const std::uint32_t all = number_at(&page[36], 4);
    std::uint32_t found = 0;
    while (trunk != 0 && found < all) {
        if (!read(trunk, page)) return false;
        seen_[trunk] = true;
        const std::uint32_t count = number_at(&page[4], 4);
        if (count > kPageBytes / 4 - 2) return false;
        for (std::uint32_t i = 0; i < count; ++i) {
            const std::uint32_t number = number_at(&page[8 + 4 * i], 4);
            if (number <= count_) seen_[number] = true;
        }
        found += count + 1;
        trunk = number_at(page.data(), 4);
    }
    return found == all && trunk == 0;
}

}  // namespace fedgate::store
