#include "xml/framer.hpp"

#include <algorithm>
#include <cstring>

#include "xml/utf8.hpp"

namespace fedgate::xml {
namespace {

constexpr std::size_t kDeclarationBytes = 256;  // of an XML declaration; it needs 55
constexpr std::ptrdiff_t kReferenceBytes = 16;  // of a character reference; it needs 10
constexpr Bytes kCdataStart = "<![CDATA[";
constexpr Bytes kXmlnsNamespace = "http://www.w3.org/2000/xmlns/";

Bytes between(const char* begin, const char* end) {
    return {begin, static_cast<std::size_t>(end - begin)};
}

// The bytes that are there agree with the beginning of `whole`.
bool may_become(Bytes bytes, Bytes whole) {
    const std::size_t size = std::min(bytes.size(), whole.size());
    return bytes.substr(0, size) == whole.substr(0, size);
}

const char* skip_space(const char* p, const char* end) {
    while (p != end && is_space(*p)) ++p;
    return p;
}

// ` name = 'value'` of an XML declaration, taken off `rest`. Null view: the next one is another.
Bytes take_pseudo_attribute(Bytes& rest, Bytes name) {
    const auto skip = [](Bytes b) {
        return b.substr(
            static_cast<std::size_t>(skip_space(b.data(), b.data() + b.size()) - b.data()));
    };
    Bytes at = skip(rest);
    if (at.size() == rest.size() || !at.starts_with(name)) return {};
    at = skip(at.substr(name.size()));
    if (!at.starts_with('=')) return {};
    at = skip(at.substr(1));
    if (at.empty() || (at[0] != '\'' && at[0] != '"')) return {};
    const std::size_t close = at.find(at[0], 1);
    if (close == Bytes::npos) return {};
    rest = at.substr(close + 1);
    return at.substr(1, close - 1);
}

bool is_utf8_label(Bytes label) {
    return label.size() == 5 && (label[0] | 0x20) == 'u' && (label[1] | 0x20) == 't' &&
           (label[2] | 0x20) == 'f' && label.substr(3) == "-8";
}

XmlFault judge_declaration(Bytes inside) {
    const Bytes version = take_pseudo_attribute(inside, "version");
    if (version != "1.0") return XmlFault::kNotWellFormed;
    const Bytes encoding = take_pseudo_attribute(inside, "encoding");
    // S2S-7.
    if (encoding.data() != nullptr && !is_utf8_label(encoding))
        return XmlFault::kUnsupportedEncoding;
    const Bytes standalone = take_pseudo_attribute(inside, "standalone");
    if (standalone.data() != nullptr && standalone != "yes" && standalone != "no") {
        return XmlFault::kNotWellFormed;
    }
    const char* end = inside.data() + inside.size();
    return skip_space(inside.data(), end) == end ? XmlFault::kNone : XmlFault::kNotWellFormed;
}

template <typename T>
[[gnu::cold, gnu::noinline]] void grow(std::vector<T>& list, std::size_t max) {
    list.resize(std::min(max, std::max<std::size_t>(4, 2 * list.size())));
}

// There is one at `index`, and never more than `max`.
template <typename T>
void make_room(std::vector<T>& list, std::size_t index, std::size_t max) {
    if (index >= list.size()) [[unlikely]]
        grow(list, max);
}

// Bytes of the name character at p that is not ASCII; 0: cut off; -1: none.
int name_character_size(const char* p, const char* end, bool first) {
    const Utf8Character decoded = decode_utf8(p, end);
    if (decoded.status == Utf8Character::Status::kTruncated) return 0;
    if (decoded.status == Utf8Character::Status::kInvalid) return -1;
    return (first ? is_name_start(decoded.value) : is_name_character(decoded.value)) ? decoded.size
                                                                                     : -1;
}

}  // namespace

Framer::Framer() : find_(resolve_find_special()) {}

void Framer::reset() {
    phase_ = Phase::kStart;
    state_ = State::kBetween;
    fault_ = XmlFault::kNone;
    scope_.clear();
}

FrameStatus Framer::next(Bytes input, Frame& frame) {
    frame = Frame();
    if (fault_ != XmlFault::kNone) return FrameStatus::kMalformed;
    const char* start = input.data();
    const char* const end = start + input.size();
    if (state_ == State::kBetween) {
        const FrameStatus status = enter(start, end);
        frame.consumed = static_cast<std::size_t>(start - input.data());
        if (status != FrameStatus::kDone) return status;
        state_ = State::kMarkup;
        position_ = 0;
        depth_ = 0;
        declaration_count_ = 0;
        uses_stream_prefix_ = false;
        outline_.child_count = 0;
        outline_.plain = outline_.complete = true;
    }
    // S2S-8: what lies beyond the bound is not looked at, so the answer does not depend on the
    // cuts.
    const bool over = static_cast<std::size_t>(end - start) > element_bytes_max_;
    const FrameStatus status = scan(start, over ? start + element_bytes_max_ : end, frame);
    if (status == FrameStatus::kNeedMore && over) return fail(XmlFault::kTooBig);
    if (status != FrameStatus::kDone) return status;
    frame.bytes = between(start, start + position_);
    frame.consumed += position_;
    frame.uses_stream_prefix = uses_stream_prefix_;
    if (frame.kind == FrameKind::kElement) frame.outline = &outline_;
    state_ = State::kBetween;
    return status;
}

// Up to the '<' of the next frame: byte order mark, declaration, white space.
FrameStatus Framer::enter(const char*& p, const char* end) {
    if (phase_ == Phase::kStart) {
        constexpr Bytes kMark = "\xEF\xBB\xBF";
        if (p == end) return FrameStatus::kNeedMore;
        // A byte order mark of UTF-16.
        if (*p == '\xFE' || *p == '\xFF') return fail(XmlFault::kUnsupportedEncoding);
        if (*p == kMark[0]) {
            if (!may_become(between(p, end), kMark)) return fail(XmlFault::kNotWellFormed);
            if (end - p < std::ssize(kMark)) return FrameStatus::kNeedMore;
            p += kMark.size();
        }
        phase_ = Phase::kDeclaration;
    }
    if (phase_ == Phase::kDeclaration) {
        const FrameStatus status = declaration(p, end);
        if (status != FrameStatus::kDone) return status;
        phase_ = Phase::kProlog;
    }
    p = skip_space(p, end);
    if (p == end) return FrameStatus::kNeedMore;
    if (*p == '<' && phase_ != Phase::kClosed) return FrameStatus::kDone;
    return fail(phase_ == Phase::kOpen ? XmlFault::kBadFormat : XmlFault::kNotWellFormed);
}

FrameStatus Framer::declaration(const char*& p, const char* end) {
    constexpr Bytes kStart = "<?xml";
    const Bytes there = between(p, end).substr(0, kDeclarationBytes);
    if (!may_become(there, kStart)) return FrameStatus::kDone;
    if (there.size() <= kStart.size()) return FrameStatus::kNeedMore;
    if (!is_space(there[kStart.size()])) return FrameStatus::kDone;  // <?xml-stylesheet ...?>
    const std::size_t close = there.find("?>");
    if (close == Bytes::npos) {
        return there.size() < kDeclarationBytes ? FrameStatus::kNeedMore
                                                : fail(XmlFault::kNotWellFormed);
    }
    const XmlFault fault = judge_declaration(there.substr(kStart.size(), close - kStart.size()));
    if (fault != XmlFault::kNone) return fail(fault);
    p += close + 2;
    return FrameStatus::kDone;
}

// One frame. It is a coroutine by hand: a `case` is a place where the bytes may end, and where the
// next call goes on. Between them it runs straight through.
FrameStatus Framer::scan(const char* start, const char* end, Frame& frame) {
    const char* p = start + position_;
    const auto offset = [&start](const char* at) { return static_cast<std::uint32_t>(at - start); };
    const auto wait = [&](State state) {
        state_ = state;
        position_ = static_cast<std::size_t>(p - start);
        return FrameStatus::kNeedMore;
    };
    const auto stop = [&](State state, FrameStatus status) {
        return status == FrameStatus::kNeedMore ? wait(state) : status;
    };
    Step step{};

    switch (state_) {
        for (;;) {
            case State::kBetween:
            case State::kMarkup:  // at '<'
                if (end - p < 2) return wait(State::kMarkup);
                if (p[1] == '/') {
                    if (depth_ == 0 && phase_ != Phase::kOpen)
                        return fail(XmlFault::kNotWellFormed);
                    closing_ = offset(p);
                    p += 2;
                    mark_ = 0;
                    goto closing_name;
                }
                if (p[1] == '?') return fail(XmlFault::kRestrictedXml);  // RFC 6120 11.1
                if (p[1] == '!') {
                    if (end - p < 3) return wait(State::kMarkup);
                    // RFC 6120 11.1: a comment, or a declaration of a document type.
                    if (p[2] != '[') return fail(XmlFault::kRestrictedXml);
                    if (!may_become(between(p, end), kCdataStart))
                        return fail(XmlFault::kNotWellFormed);
                    if (end - p < std::ssize(kCdataStart)) return wait(State::kMarkup);
                    if (depth_ == 0) {
                        return fail(phase_ == Phase::kOpen ? XmlFault::kBadFormat
                                                           : XmlFault::kNotWellFormed);
                    }
                    p += kCdataStart.size();
                    plain_ = false;
                    goto cdata;
                }
                if (depth_ >= depth_max_) return fail(XmlFault::kTooDeep);  // S2S-7
                ++p;
                make_room(elements_, depth_, limits::kXmlDepth);
                begin_name(elements_[depth_], offset(p));
                plain_ = flat_ = depth_ == 1;
                [[fallthrough]];
            case State::kElementName:
                step = qualified_name(elements_[depth_], start, p, end);
                p = step.p;
                if (step.status != FrameStatus::kDone)
                    return stop(State::kElementName, step.status);
                prefixed_ = elements_[depth_].prefix_size != 0;
                attribute_base_ = depth_ == 0 ? 0 : outline_.attribute_count;
                attribute_count_ = 0;
                attribute_filter_ = 0;
                has_default_ = false;
                spaced_ = false;
                for (;;) {
                    [[fallthrough]];
                    case State::kInTag:
                        while (p != end && is_space(*p)) {
                            spaced_ = true;
                            ++p;
                        }
                        if (p == end) return wait(State::kInTag);
                        if (*p == '>' || *p == '/') break;
                        if (!spaced_) return fail(XmlFault::kNotWellFormed);
                        if (attribute_count_ == limits::kXmlAttributes) {
                            return fail(XmlFault::kTooManyAttributes);  // S2S-7
                        }
                        make_room(outline_.attributes, attribute_base_ + attribute_count_,
                                  2 * limits::kXmlAttributes);
                        begin_name(attribute(attribute_count_), offset(p));
                        [[fallthrough]];
                    case State::kAttributeName:
                        step = qualified_name(attribute(attribute_count_), start, p, end);
                        p = step.p;
                        if (step.status != FrameStatus::kDone)
                            return stop(State::kAttributeName, step.status);
                        if (!attribute_named(start, p)) return fail(XmlFault::kNotWellFormed);
                        [[fallthrough]];
                    case State::kEquals:
                        if (p != end && *p != '=') p = skip_space(p, end);
                        if (p == end) return wait(State::kEquals);
                        if (*p != '=') return fail(XmlFault::kNotWellFormed);
                        ++p;
                        [[fallthrough]];
                    case State::kQuote:
                        if (p != end && *p != '\'' && *p != '"') p = skip_space(p, end);
                        if (p == end) return wait(State::kQuote);
                        if (*p != '\'' && *p != '"') return fail(XmlFault::kNotWellFormed);
                        quote_ = *p++;
                        mark_ = offset(p);
                        [[fallthrough]];
                    case State::kValue:
                        for (;;) {
                            p = find_special(find_, p, end, quote_, '<', '&');
                            if (p == end) return wait(State::kValue);
                            if (*p == quote_) break;
                            if (*p == '<') return fail(XmlFault::kNotWellFormed);
                            if (*p >= 0 && depth_ == 0) outline_.plain = false;
                            step = character(p, end);
                            p = step.p;
                            if (step.status != FrameStatus::kDone)
                                return stop(State::kValue, step.status);
                        }
                        if (const XmlFault fault = attribute_valued(start, p);
                            fault != XmlFault::kNone)
                            return fail(fault);
                        ++p;
                        spaced_ = false;
                }
                if (*p == '/') {
                    ++p;
                    [[fallthrough]];
                    case State::kEmptyTagEnd:
                        if (p == end) return wait(State::kEmptyTagEnd);
                        if (*p != '>') return fail(XmlFault::kNotWellFormed);
                        if (const XmlFault fault = check_prefixes(start); fault != XmlFault::kNone)
                            return fail(fault);
                        ++p;
                        if (phase_ != Phase::kOpen) return fail(XmlFault::kBadFormat);
                        end_start_tag(offset(p));
                        if (depth_ == 1) end_child(offset(p), offset(p));
                        leave_element();
                } else {
                    if (const XmlFault fault = check_prefixes(start); fault != XmlFault::kNone)
                        return fail(fault);
                    ++p;
                    if (phase_ != Phase::kOpen) {
                        if (const XmlFault fault = keep_header(start); fault != XmlFault::kNone)
                            return fail(fault);
                        frame.kind = FrameKind::kStreamOpen;
                        position_ = static_cast<std::size_t>(p - start);
                        return FrameStatus::kDone;
                    }
                    end_start_tag(offset(p));
                    ++depth_;
                }
                goto after_markup;

            closing_name:
                [[fallthrough]];
            case State::kClosingName: {
                const Span open = depth_ == 0 ? Span{0, static_cast<std::uint32_t>(root_name_size_)}
                                              : elements_[depth_ - 1].whole;
                const char* name = (depth_ == 0 ? root_name_.data() : start + open.offset) + mark_;
                const char* name_end = depth_ == 0 ? root_name_.data() + kRootNameBytes : end;
                const auto size =
                    std::min<std::size_t>(open.size - mark_, static_cast<std::size_t>(end - p));
                if (!same_bytes(name, name_end, p, end, size))
                    return fail(XmlFault::kNotWellFormed);
                p += size;
                mark_ += static_cast<std::uint32_t>(size);
                if (mark_ != open.size) return wait(State::kClosingName);
            }
                [[fallthrough]];
            case State::kClosingEnd:
                p = skip_space(p, end);
                if (p == end) return wait(State::kClosingEnd);
                if (*p != '>') return fail(XmlFault::kNotWellFormed);
                ++p;
                if (depth_ == 0) {
                    phase_ = Phase::kClosed;
                    frame.kind = FrameKind::kStreamClose;
                    position_ = static_cast<std::size_t>(p - start);
                    return FrameStatus::kDone;
                }
                if (--depth_ == 1) end_child(closing_, offset(p));
                leave_element();

            after_markup:
                if (depth_ == 0) {
                    frame.kind = FrameKind::kElement;
                    position_ = static_cast<std::size_t>(p - start);
                    return FrameStatus::kDone;
                }
                goto text;

            cdata:
                [[fallthrough]];
            case State::kCdata:
                for (;;) {
                    p = find_special(find_, p, end, '>', '>', '>');
                    if (p == end) return wait(State::kCdata);
                    // Looking back ends at the last '[' of the section's start.
                    if (*p == '>') {
                        if (p[-1] == ']' && p[-2] == ']') break;
                        ++p;
                        continue;
                    }
                    step = character(p, end);
                    p = step.p;
                    if (step.status != FrameStatus::kDone) return stop(State::kCdata, step.status);
                }
                ++p;

            text:
                [[fallthrough]];
            case State::kText:
                for (;;) {
                    p = find_special(find_, p, end, '<', '&', '>');
                    if (p == end) return wait(State::kText);
                    if (*p == '<') break;
                    if (*p == '>') {
                        // XML 1.0 2.4: no "]]>". Looking back ends at the '>' or ';' before the
                        // text.
                        if (p[-1] == ']' && p[-2] == ']') return fail(XmlFault::kNotWellFormed);
                        ++p;
                        continue;
                    }
                    if (*p == '&' || *p == '\r') plain_ = false;
                    step = character(p, end);
                    p = step.p;
                    if (step.status != FrameStatus::kDone) return stop(State::kText, step.status);
                }
        }
    }
    __builtin_unreachable();
}

void Framer::begin_name(Name& name, std::uint32_t offset) {
    name.whole.offset = mark_ = offset;
    name.prefix_size = 0;
}

// At a name, or inside one whose part at hand began at mark_. In line, and the name written where
// it stays: one that is copied while its parts are still on their way to memory costs 5 ns.
[[gnu::always_inline]] inline Framer::Step Framer::qualified_name(Name& name, const char* start,
                                                                  const char* p, const char* end) {
    for (;;) {
        if (p == end) return {p, FrameStatus::kNeedMore};
        const bool first = p == start + mark_;
        if (*p < 0) {
            const int size = name_character_size(p, end, first);
            if (size == 0) return {p, FrameStatus::kNeedMore};
            if (size < 0) return {p, fail(XmlFault::kNotWellFormed)};
            p += size;
            continue;
        }
        if (first && (kNameClass[static_cast<std::size_t>(*p)] & kNameStart) == 0) {
            return {p, fail(XmlFault::kNotWellFormed)};
        }
        p = skip_name(p, end);
        if (p == end) return {p, FrameStatus::kNeedMore};
        if (*p < 0) continue;
        if (*p != ':') break;
        if (name.prefix_size != 0) return {p, fail(XmlFault::kNotWellFormed)};
        name.prefix_size = static_cast<std::uint32_t>(p - start) - name.whole.offset;
        mark_ = static_cast<std::uint32_t>(++p - start);
    }
    name.whole.size = static_cast<std::uint32_t>(p - start) - name.whole.offset;
    return {p, FrameStatus::kDone};
}

// Behind the name of attribute number attribute_count_. False: the tag has it already.
bool Framer::attribute_named(const char* start, const char* p) {
    const Name& found = attribute(attribute_count_);
    const Bytes name = found.whole.of(start);
    const std::size_t key = static_cast<unsigned char>(name.front()) * 5U +
                            static_cast<unsigned char>(p[-1]) * 3U + name.size();
    const std::uint64_t bit = std::uint64_t{1} << (key % 64);
    if ((attribute_filter_ & bit) != 0) {
        for (std::size_t i = 0; i < attribute_count_; ++i) {
            if (attribute(i).whole.of(start) == name) return false;
        }
    }
    attribute_filter_ |= bit;
    ++attribute_count_;
    if (found.prefix_size != 0 && !name.starts_with("xml:") && !name.starts_with("xmlns:")) {
        prefixed_ = true;
    }
    return true;
}

// At the quote behind a value. Namespaces in XML 1.0, section 3: what a declaration may say.
XmlFault Framer::attribute_valued(const char* start, const char* p) {
    Outline::Attribute& found = attribute(attribute_count_ - 1);
    const Span value{mark_, static_cast<std::uint32_t>(p - start) - mark_};
    found.value = value;
    const Bytes name = found.whole.of(start);
    if (name.front() != 'x' || !name.starts_with("xmlns")) return XmlFault::kNone;
    if (name.size() != 5 && found.prefix_size != 5) return XmlFault::kNone;
    const Bytes uri = between(start + mark_, p);
    const bool declares_xml = name == "xmlns:xml";
    if (uri == kXmlnsNamespace || (uri == kXmlNamespace) != declares_xml || name == "xmlns:xmlns") {
        return XmlFault::kNotWellFormed;
    }
    if (declares_xml) return XmlFault::kNone;
    if (name.size() == 5) {
        has_default_ = true;
        default_ = value;
        return XmlFault::kNone;
    }
    if (uri.empty()) return XmlFault::kNotWellFormed;
    if (declaration_count_ == limits::kXmlPrefixes) return XmlFault::kTooManyPrefixes;  // S2S-7
    make_room(declarations_, declaration_count_, limits::kXmlPrefixes);
    declarations_[declaration_count_++] = {
        {found.whole.offset + 6, found.whole.size - 6}, value, depth_};
    return XmlFault::kNone;
}

// At a byte of text or value that stopped the search: a reference, a character that is not ASCII
// (then also those that follow it), white space or what XML 1.0 forbids.
Framer::Step Framer::character(const char* p, const char* end) {
    if (*p == '&') return reference(p, end);
    if (is_space(*p)) return {p + 1, FrameStatus::kDone};
    if (static_cast<signed char>(*p) >= 0) return {p, fail(XmlFault::kNotWellFormed)};
    do {
        const Utf8Character decoded = decode_utf8(p, end);
        if (decoded.status == Utf8Character::Status::kTruncated) return {p, FrameStatus::kNeedMore};
        if (decoded.status == Utf8Character::Status::kInvalid || !is_xml_character(decoded.value)) {
            return {p, fail(XmlFault::kNotWellFormed)};
        }
        p += decoded.size;
    } while (p != end && static_cast<signed char>(*p) < 0);
    return {p, FrameStatus::kDone};
}

// At '&'. Decides as soon as the bytes can't become a legal reference any more.
Framer::Step Framer::reference(const char* p, const char* end) {
    const Bytes there = between(p + 1, std::min(end, p + kReferenceBytes));
    if (there.empty()) return {p, FrameStatus::kNeedMore};
    if (there[0] != '#') {
        bool possible = false;
        for (const Bytes name :
             {Bytes("amp;"), Bytes("lt;"), Bytes("gt;"), Bytes("quot;"), Bytes("apos;")}) {
            if (there.starts_with(name)) {
                p += 1 + name.size();
                return {p, FrameStatus::kDone};
            }
            possible = possible || name.starts_with(there);
        }
        if (possible) return {p, FrameStatus::kNeedMore};
        // RFC 6120 11.1: an entity of their own.
        const auto first = static_cast<unsigned char>(there[0]);
        const bool name = first >= 0x80 || is_name_start(first);
        return {p, fail(name ? XmlFault::kRestrictedXml : XmlFault::kNotWellFormed)};
    }
    if (there.size() == 1) return {p, FrameStatus::kNeedMore};
    const bool hex = there[1] == 'x';
    const std::size_t digits = hex ? 2 : 1;
    char32_t value = 0;
    for (std::size_t i = digits; i < there.size(); ++i) {
        const char c = there[i];
        const char lower = static_cast<char>(c | 0x20);
        if (c >= '0' && c <= '9') {
            value = value * (hex ? 16 : 10) + static_cast<char32_t>(c - '0');
        } else if (hex && lower >= 'a' && lower <= 'f') {
            value = value * 16 + static_cast<char32_t>(lower - 'a' + 10);
        } else if (c == ';' && i > digits && is_xml_character(value)) {
            p += i + 2;
            return {p, FrameStatus::kDone};
        } else {
            return {p, fail(XmlFault::kNotWellFormed)};
        }
        if (value > 0x10FFFF) return {p, fail(XmlFault::kNotWellFormed)};
    }
    // Only leading zeros make it longer than this; nobody writes them.
    return {p, end - p < kReferenceBytes ? FrameStatus::kNeedMore : fail(XmlFault::kRestrictedXml)};
}

// At the end of a start tag: each prefix is declared, and no two attributes have the same expanded
// name (Namespaces in XML 1.0, 6.3).
XmlFault Framer::check_prefixes(const char* start) {
    if (!prefixed_) return XmlFault::kNone;
    const auto prefix = [start](const Name& name) {
        return Bytes(start + name.whole.offset, name.prefix_size);
    };
    const Name& element = elements_[depth_];
    if (element.prefix_size != 0 && resolve(start, prefix(element)).data() == nullptr) {
        return XmlFault::kBadNamespacePrefix;
    }
    struct Expanded {  // without initial values: most tags use none of the 256
        const char* local;
        const char* uri;
        std::size_t local_size, uri_size;
    };
    std::array<Expanded, limits::kXmlAttributes> expanded;
    std::size_t count = 0;
    for (std::size_t i = 0; i < attribute_count_; ++i) {
        const Name& name = attribute(i);
        if (name.prefix_size == 0 || prefix(name) == "xmlns") continue;
        const Bytes uri = resolve(start, prefix(name));
        if (uri.data() == nullptr) return XmlFault::kBadNamespacePrefix;
        const Bytes local =
            Bytes(start + name.whole.offset, name.whole.size).substr(name.prefix_size + 1);
        for (std::size_t j = 0; j < count; ++j) {
            if (Bytes(expanded[j].local, expanded[j].local_size) == local &&
                Bytes(expanded[j].uri, expanded[j].uri_size) == uri) {
                return XmlFault::kNotWellFormed;
            }
        }
        expanded[count++] = {local.data(), uri.data(), local.size(), uri.size()};
    }
    return XmlFault::kNone;
}

Bytes Framer::resolve(const char* start, Bytes prefix) {
    for (std::size_t i = declaration_count_; i-- > 0;) {
        const Declaration& declared = declarations_[i];
        if (Bytes(start + declared.prefix.offset, declared.prefix.size) == prefix) {
            return {start + declared.uri.offset, declared.uri.size};
        }
    }
    const Bytes uri = scope_.find(prefix);
    if (uri.data() != nullptr && prefix != "xml") uses_stream_prefix_ = true;
    return uri;
}

// At the end of the root's start tag.
XmlFault Framer::keep_header(const char* start) {
    const Span name = elements_[0].whole;
    if (name.size > kRootNameBytes) return XmlFault::kBadFormat;  // S2S-6: it is not "stream"
    std::memcpy(root_name_.data(), start + name.offset, name.size);
    root_name_size_ = name.size;
    const auto view = [start](Span span) { return Bytes(start + span.offset, span.size); };
    bool room = !has_default_ || scope_.set_default(view(default_));
    for (std::size_t i = 0; i < declaration_count_; ++i) {
        room = room && scope_.add(view(declarations_[i].prefix), view(declarations_[i].uri));
    }
    if (!room) return XmlFault::kTooManyPrefixes;
    phase_ = Phase::kOpen;
    return XmlFault::kNone;
}

// Behind the start tag of the element at depth_.
void Framer::end_start_tag(std::uint32_t offset) {
    if (depth_ == 0) {
        outline_.name = elements_[0];
        outline_.attribute_count = static_cast<std::uint32_t>(attribute_count_);
        outline_.has_default = has_default_;
        outline_.default_namespace = default_;
    } else if (depth_ == 1) {
        if (outline_.child_count == Outline::kChildren) {
            outline_.complete = false;
            return;
        }
        make_room(outline_.children, outline_.child_count, Outline::kChildren);
        Outline::Child& child = outline_.children[outline_.child_count];
        child.name = elements_[1];
        child.has_default = has_default_;
        child.default_namespace = default_;
        child.content.offset = offset;
    }
}

// Behind a child of the element that is framed.
void Framer::end_child(std::uint32_t content_end, std::uint32_t end) {
    if (!outline_.complete) return;
    Outline::Child& child = outline_.children[outline_.child_count++];
    child.content.size = content_end - child.content.offset;
    child.end = end;
    child.empty = content_end == end;
    child.flat = flat_;
    child.plain = plain_ && flat_;
}

// The declarations of the element at depth_ go out of scope.
void Framer::leave_element() {
    while (declaration_count_ != 0 && declarations_[declaration_count_ - 1].depth == depth_) {
        --declaration_count_;
    }
}

}  // namespace fedgate::xml
