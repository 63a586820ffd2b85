#include "appliance/gateway/iq.hpp"

#include <iterator>

#include "appliance/gateway/chat_state.hpp"
#include "appliance/gateway/date.hpp"
#include "appliance/gateway/namespaces.hpp"
#include "appliance/gateway/receipt.hpp"
#include "xml/stanza_error.hpp"
#include "xml/writer.hpp"

namespace fedgate::gateway {
namespace {

using Condition = xml::StanzaCondition;

constexpr Bytes kDiscoInfo = "http://jabber.org/protocol/disco#info";
constexpr Bytes kDiscoItems = "http://jabber.org/protocol/disco#items";
constexpr Bytes kPing = "urn:xmpp:ping";
constexpr Bytes kVersion = "jabber:iq:version";
constexpr Bytes kTime = "urn:xmpp:time";
constexpr Bytes kLast = "jabber:iq:last";

void write_disco_info(const xml::Element&, const IqContext&, Sink& sink) {  // IQ-1
    xml::write_start(sink, "query", {{"xmlns", kDiscoInfo}});
    xml::write_empty(sink, "identity",
                     {{"category", "gateway"}, {"type", "simple"}, {"name", "Fedgate"}});
    xml::write_empty(sink, "identity",
                     {{"category", "server"}, {"type", "im"}, {"name", "Fedgate"}});
    for (const Bytes feature :
         {kDiscoInfo, kDiscoItems, kPing, kVersion, kTime, kLast, Bytes("jid\\20escaping")}) {
        xml::write_empty(sink, "feature", {{"var", feature}});
    }
    xml::write_end(sink, "query");
}

// S4: what works, and nothing else.
void write_user_info(const xml::Element&, const IqContext& context, Sink& sink) {
    const auto feature = [&sink](Bytes name) {
        xml::write_empty(sink, "feature", {{"var", name}});
    };
    xml::write_start(sink, "query", {{"xmlns", kDiscoInfo}});
    if (context.to_bare) {  // IQ-3
        xml::write_empty(sink, "identity", {{"category", "account"}, {"type", "registered"}});
        feature(kDiscoInfo);
    } else {  // IQ-4
        xml::write_empty(sink, "identity",
                         {{"category", "client"}, {"type", "pc"}, {"name", "SIP"}});
        feature(kDiscoInfo);
        if (context.typing) feature(kChatStates);
        if (context.receipts) feature(kReceipts);
        if (context.markup) feature(kXhtmlIm);
    }
    xml::write_end(sink, "query");
}

void write_disco_items(const xml::Element&, const IqContext&, Sink& sink) {  // IQ-2
    xml::write_empty(sink, "query", {{"xmlns", kDiscoItems}});
}

void write_ping(const xml::Element&, const IqContext&, Sink&) {}  // IQ-6: an empty result

void write_version(const xml::Element&, const IqContext&, Sink& sink) {  // IQ-8
    xml::write_start(sink, "query", {{"xmlns", kVersion}});
    xml::write_element(sink, "name", {}, "Fedgate");
    xml::write_element(sink, "version", {}, FEDGATE_VERSION);
    xml::write_end(sink, "query");
}

void write_time(const xml::Element&, const IqContext& context, Sink& sink) {  // IQ-9
    char utc_memory[32];
    Sink utc{MutableBytes(utc_memory)};
    write_iso_date(context.now, utc);
    xml::write_start(sink, "time", {{"xmlns", kTime}});
    xml::write_element(sink, "tzo", {}, "+00:00");
    xml::write_element(sink, "utc", {}, utc.written());
    xml::write_end(sink, "time");
}

void write_last(const xml::Element&, const IqContext& context, Sink& sink) {  // IQ-9
    char seconds_memory[24];
    Sink seconds{MutableBytes(seconds_memory)};
    seconds.append_number(std::chrono::duration_cast<std::chrono::seconds>(context.uptime).count());
    xml::write_empty(sink, "query", {{"xmlns", kLast}, {"seconds", seconds.written()}});
}

// What is answered to a get, and for whom. All else is IQ-10: the same whether the user exists or
// not.
enum class Asked : std::uint8_t { kDomain, kUser };
struct Row {
    Asked asked;
    Bytes name;
    Bytes uri;
    void (*write)(const xml::Element&, const IqContext&, Sink&);
};
constexpr Row kRows[] = {
    {Asked::kDomain, "query", kDiscoInfo, write_disco_info},
    {Asked::kDomain, "query", kDiscoItems, write_disco_items},
    {Asked::kDomain, "ping", kPing, write_ping},
    {Asked::kDomain, "query", kVersion, write_version},
    {Asked::kDomain, "time", kTime, write_time},
    {Asked::kDomain, "query", kLast, write_last},
    {Asked::kUser, "query", kDiscoInfo, write_user_info},
};

// IQ-3, IQ-4: a user answers only to who may see him.
bool is_open(Asked asked, const IqContext& context) {
    if (asked == Asked::kDomain) return context.to_domain;
    return !context.to_domain && context.watcher_granted && (context.to_bare || context.announced);
}

bool write_error(const IqContext& context, Condition condition, Sink& sink) {
    xml::StanzaError error;
    error.condition = condition;
    error.type = xml::default_type(condition);
    xml::write_stanza_error(sink, xml::StanzaKind::kIq, context.to, context.from, context.id,
                            error);
    return true;
}

}  // namespace

bool answer_iq(const xml::Stanza& stanza, const IqContext& context, Sink& sink) {
    if (stanza.type == "result" || stanza.type == "error") return false;  // IQ-12
    const bool get = stanza.type == "get";
    const xml::Element payload = stanza.root.first_child();
    // IQ-11
    if ((!get && stanza.type != "set") || context.id.empty() || !payload ||
        payload.next_sibling()) {
        return write_error(context, Condition::kBadRequest, sink);
    }
    for (const Row& row : kRows) {
        if (!get || !is_open(row.asked, context) || !payload.is(row.name, row.uri)) continue;
        if (payload.attribute("node").data() != nullptr &&
            (row.uri == kDiscoInfo || row.uri == kDiscoItems)) {
            return write_error(context, Condition::kItemNotFound, sink);  // IQ-5
        }
        xml::write_start(
            sink, "iq",
            {{"from", context.to}, {"to", context.from}, {"id", context.id}, {"type", "result"}});
        row.write(payload, context, sink);
        xml::write_end(sink, "iq");
        return true;
    }
    return write_error(context, Condition::kServiceUnavailable, sink);  // IQ-7, IQ-10
}

}  // namespace fedgate::gateway
