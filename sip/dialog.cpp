#include "sip/dialog.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "core/base/limits.hpp"
#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

// RFC 3261 12.2, RFC 3311, RFC 6665 4.4: their Contact is the new remote target.
bool refreshes_target(Method method) {
    return method == Method::kInvite || method == Method::kUpdate || method == Method::kSubscribe ||
           method == Method::kNotify;
}

bool fits(std::size_t before, Bytes target) {
    return before + target.size() + Bytes("<>").size() <= limits::kSipDialogBytes;
}

// What stands before each part, in their order, and behind the last.
constexpr std::array<Bytes, 5> kBefore{"From: <", ">;tag=", "\r\nTo: <", ">;tag=", "\r\nCall-ID: "};
constexpr Bytes kBehind = "\r\nCSeq: ";

bool is_sips(Bytes uri) { return equal_ignoring_case(uri.substr(0, 5), "sips:"); }

// Inside the <> at the front.
Bytes bracketed(Bytes text) { return text.substr(1, text.find('>') - 1); }

// Is its only Contact that URI, in <> and with nothing behind it?
bool names_only(const Message& message, Bytes uri) {
    const Header* const contact = message.find(HeaderName::kContact);
    const Bytes value = contact->value;
    return value.size() == uri.size() + 2 && value.front() == '<' && value.back() == '>' &&
           value.substr(1, uri.size()) == uri && message.next(contact) == nullptr;
}

// Of a saved dialog: the next line. False: it does not end.
bool take_line(Bytes& text, Bytes& line) {
    const std::size_t end = text.find('\n');
    if (end == Bytes::npos) return false;
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return true;
}

std::optional<std::uint32_t> number_of(Bytes text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

struct Dialog::Routes {
    std::array<NameAddr, limits::kSipRoutes> all{};
    std::size_t count = 0;

    // False: one is malformed, or there are too many.
    [[nodiscard]] Result<void> add(Bytes list) {
        Bytes item;
        if (list.empty()) return failure(Errc::kMalformed, "route");
        while (take_item(list, item)) {
            if (count == all.size()) return failure(Errc::kLimit, "routes");
            FEDGATE_TRY(route, parse_route(item));
            all[count++] = route;
        }
        return {};
    }
    // All values of Record-Route, from the top.
    [[nodiscard]] Result<void> read(const Message& message) {
        for (const Header* header = message.find(HeaderName::kRecordRoute); header != nullptr;
             header = message.next(header)) {
            if (const auto added = add(header->value); !added) return added;
        }
        return {};
    }
};

Result<Dialog> Dialog::from_response(const RequestHead& sent, const Message& response) {
    FEDGATE_TRY(to, parse_name_addr(response.value(HeaderName::kTo)));
    // RFC 3261 12.1: without a tag there is nothing to tell forks apart by.
    if (response.status <= 100 || response.status >= 300 || to.tag.empty()) {
        return failure(Errc::kMalformed, "no dialog");
    }
    Dialog dialog;
    const auto kept =
        dialog.keep({sent.from.uri, sent.from.tag, sent.to.uri, to.tag, sent.call_id});
    if (!kept) return Failure{kept.error()};
    // A provisional response of an old peer may lack a Contact.
    const auto contact = parse_target(response);
    if (!contact && contact.error().code != Errc::kNotFound) return Failure{contact.error()};
    const auto way =
        dialog.keep_way(response, Order::kReversed, contact ? contact->uri.text : sent.uri);
    if (!way) return Failure{way.error()};
    dialog.local_cseq_ = sent.cseq;
    dialog.early_ = response.status < 200;
    dialog.secure_ = is_sips(sent.uri);
    return dialog;
}

Result<Dialog> Dialog::from_request(const Message& request, Bytes local_tag,
                                    std::uint32_t local_cseq) {
    FEDGATE_TRY(contact, parse_target(request));
    Dialog dialog;
    const auto kept = dialog.keep(
        {request.to.uri.text, local_tag, request.from.uri.text, request.from.tag, request.call_id});
    if (!kept) return Failure{kept.error()};
    const auto way = dialog.keep_way(request, Order::kAsIs, contact.uri.text);
    if (!way) return Failure{way.error()};
    dialog.local_cseq_ = local_cseq;
    dialog.remote_cseq_ = request.cseq.number;
    dialog.secure_ = request.request_uri.scheme == Scheme::kSips;
    return dialog;
}

// A line for each: numbers, parts, routes, target. None of them has a line end in it.
void Dialog::save(Sink& out) const {
    out.append_number(local_cseq_);
    out.append(' ');
    out.append_number(remote_cseq_ == kNoCseq ? 0 : remote_cseq_);
    out.append(' ');
    if (remote_cseq_ != kNoCseq) out.append('r');
    if (secure_) out.append('s');
    out.append('\n');
    for (const Part one : {kCallId, kLocalTag, kRemoteTag, kLocalUri, kRemoteUri}) {
        out.append(part(one));
        out.append('\n');
    }
    out.append(route_set());
    out.append('\n');
    out.append(remote_target());
    out.append('\n');
}

Result<Dialog> Dialog::restore(Bytes saved) {
    std::array<Bytes, 1 + kParts + 2> lines;
    for (Bytes& line : lines) {
        if (!take_line(saved, line)) return failure(Errc::kMalformed, "dialog");
    }
    Bytes numbers = lines[0];
    const std::size_t first = numbers.find(' ');
    const std::size_t second = numbers.find(' ', first + 1);
    if (second == Bytes::npos) return failure(Errc::kMalformed, "dialog");
    const auto local = number_of(numbers.substr(0, first));
    const auto remote = number_of(numbers.substr(first + 1, second - first - 1));
    if (!local || !remote) return failure(Errc::kMalformed, "dialog");
    const Bytes flags = numbers.substr(second + 1);
    Dialog dialog;
    const auto kept = dialog.keep({lines[4], lines[2], lines[5], lines[3], lines[1]});
    if (!kept) return Failure{kept.error()};
    Routes routes;
    const Bytes route = lines[1 + kParts];
    if (!route.empty()) {
        if (const auto added = routes.add(route); !added) return Failure{added.error()};
    }
    const Bytes target = lines[2 + kParts];
    if (!parse_uri(target)) return failure(Errc::kMalformed, "dialog");
    if (const auto way = dialog.keep_way(routes, target); !way) return Failure{way.error()};
    dialog.local_cseq_ = *local;
    if (flags.find('r') != Bytes::npos) dialog.remote_cseq_ = *remote;
    dialog.secure_ = flags.find('s') != Bytes::npos;
    return dialog;
}

std::uint16_t Dialog::refusal(const Error& error) { return error.code == Errc::kLimit ? 513 : 400; }

std::uint16_t Dialog::on_request(const Message& request) {
    if (request.method == Method::kAck || request.method == Method::kCancel) return 0;
    if (remote_cseq_ != kNoCseq && request.cseq.number <= remote_cseq_) return 500;
    const bool may_change =
        refreshes_target(request.method) && request.find(HeaderName::kContact) != nullptr;
    if (may_change && !names_only(request, remote_target())) {
        const auto contact = parse_target(request);
        if (!contact) return refusal(contact.error());
        const auto set = set_target(contact->uri.text);
        if (!set) return refusal(set.error());
    }
    remote_cseq_ = request.cseq.number;
    return 0;
}

bool Dialog::on_response(Method of, const Message& response) {
    if (response.status / 100 == 2 && refreshes_target(of)) {
        // What can't be used changes nothing: the old target was good until now.
        if (const auto contact = parse_target(response)) {
            static_cast<void>(set_target(contact->uri.text));
        }
    }
    return response.status != 481 && response.status != 408;
}

Result<void> Dialog::confirm(const Message& response) {
    const auto contact = parse_target(response);
    if (!contact && contact.error().code != Errc::kNotFound) return Failure{contact.error()};
    early_ = false;
    return keep_way(response, Order::kReversed, contact ? contact->uri.text : remote_target());
}

bool Dialog::next_request(Method method, RequestHead& head) {
    if (!has_next_cseq()) return false;
    fill(method, ++local_cseq_, head);
    return true;
}

std::size_t Dialog::write_request(Method method, Bytes via, Sink& out) {
    FEDGATE_CHECK(has_next_cseq());
    const Bytes name = method_text(method);
    constexpr Bytes kVersion = " SIP/2.0\r\n";
    const Bytes uri = strict_ ? next_hop() : remote_target();
    const std::size_t before_via = name.size() + 1 + uri.size() + kVersion.size();
    if (strict_) {
        RequestHead head;
        fill(method, ++local_cseq_, head);
        head.via.text = via;
        write_request_head(out, head);
        return before_via;
    }
    out.append(name, " ", uri, kVersion, "Via: ", via, "\r\nMax-Forwards: 70\r\n");
    if (has_routes()) out.append("Route: ", route_set(), "\r\n");
    out.append(text().substr(0, way_at()));
    out.append_number(++local_cseq_);
    out.append(" ", name, "\r\n");
    return before_via;
}

void Dialog::fill_ack(RequestHead& head, std::uint32_t cseq) const {
    fill(Method::kAck, cseq, head);
}

void Dialog::note_cseq(std::uint32_t cseq) { local_cseq_ = std::max(local_cseq_, cseq); }

Bytes Dialog::next_hop() const {
    return has_routes() ? bracketed(text().substr(way_at())) : remote_target();
}

// The last of the text, in <>.
Bytes Dialog::remote_target() const {
    return text().substr(target_at_ + 1u, text_bytes_ - target_at_ - 2u);
}

Bytes Dialog::route_set() const {
    if (!has_routes()) return {};
    return text().substr(way_at(), target_at_ - way_at() - Bytes(", ").size());
}

Bytes Dialog::part(Part which) const {
    const std::size_t before = which == 0 ? 0 : ends_[which - 1u];
    const std::size_t begin = before + kBefore[which].size();
    if (begin > ends_[which]) return {};  // RFC 2543: no tag
    return text().substr(begin, ends_[which] - begin);
}

std::size_t Dialog::way_at() const { return ends_.back() + kBehind.size(); }

Result<void> Dialog::keep(const std::array<Bytes, kParts>& parts) {
    static_assert(kBefore.size() == kParts);
    std::size_t size = kBehind.size();
    for (std::size_t i = 0; i < kParts; ++i) {
        if (chars::may_end_line(parts[i])) return failure(Errc::kMalformed, "dialog");
        size += kBefore[i].size() + parts[i].size();
    }
    if (size > limits::kSipDialogBytes) return failure(Errc::kLimit, "dialog");
    std::string lines;
    for (std::size_t i = 0; i < kParts; ++i) {
        const bool no_tag = (i == kLocalTag || i == kRemoteTag) && parts[i].empty();
        lines.append(no_tag ? Bytes(">") : kBefore[i]).append(parts[i]);
        ends_[i] = static_cast<std::uint16_t>(lines.size());
    }
    put(0, lines.append(kBehind));
    return {};
}

// RFC 3261 12.1.1, 12.1.2: what the UAS reads from the top, the UAC reads from the bottom.
Result<void> Dialog::keep_way(const Message& message, Order order, Bytes target) {
    Routes routes;
    if (const auto read = routes.read(message); !read) return read;
    if (order == Order::kReversed) {
        std::reverse(routes.all.begin(), routes.all.begin() + routes.count);
    }
    return keep_way(routes, target);
}

Result<void> Dialog::keep_way(const Routes& routes, Bytes target) {
    std::string way;
    for (std::size_t i = 0; i < routes.count; ++i) {
        const NameAddr& route = routes.all[i];
        way.append("<").append(route.uri.text).append(">");
        if (!route.params.empty()) way.append(";").append(route.params);
        way.append(", ");
    }
    if (!chars::all<chars::kLine>(way)) return failure(Errc::kMalformed, "route");
    if (!chars::all<chars::kLine>(target)) return failure(Errc::kMalformed, "target");
    const std::size_t begin = way_at();
    const std::size_t target_at = begin + way.size();
    if (!fits(target_at, target)) return failure(Errc::kLimit, "dialog");
    put(begin, way.append("<").append(target).append(">"));
    target_at_ = static_cast<std::uint16_t>(target_at);
    strict_ = routes.count > 0 && !find_parameter(routes.all[0].uri.params, "lr");
    return {};
}

Result<void> Dialog::set_target(Bytes uri) {
    if (remote_target() == uri) return {};
    if (!chars::all<chars::kLine>(uri)) return failure(Errc::kMalformed, "target");
    if (!fits(target_at_, uri)) return failure(Errc::kLimit, "dialog");
    put(target_at_, std::string("<").append(uri).append(">"));
    return {};
}

// From there on the text is `tail`.
void Dialog::put(std::size_t begin, Bytes tail) {
    auto text = std::make_unique_for_overwrite<char[]>(begin + tail.size());
    if (begin > 0) std::memcpy(text.get(), text_.get(), begin);
    std::memcpy(text.get() + begin, tail.data(), tail.size());
    text_ = std::move(text);
    text_bytes_ = static_cast<std::uint16_t>(begin + tail.size());
}

void Dialog::fill(Method method, std::uint32_t cseq, RequestHead& head) const {
    head.method = method_text(method);
    // RFC 3261 12.2.1.1, 16.12.1.2: to a strict router as if it were the target, which goes to the
    // end of the route.
    if (strict_) {
        head.uri = next_hop();
        head.route = text().substr(way_at());
        Bytes first;
        static_cast<void>(take_item(head.route, first));
        head.route.remove_prefix(1);  // the space behind the comma
    } else {
        head.uri = remote_target();
        head.route = route_set();
    }
    head.dialog_lines = text().substr(0, way_at());
    head.cseq = cseq;
}

}  // namespace fedgate::sip
