// What the gateway makes of one message: addresses both ways, the text of a stanza, a presence
// document read and written.
#include <string>
#include <vector>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/message.hpp"
#include "appliance/gateway/pidf.hpp"
#include "bench/allocations.hpp"
#include "sip/uri.hpp"

namespace fedgate::gateway {
namespace {

const std::string kChat =
    "<message from='juliet@im.example.com/balcony' to='romeo@sip.example.net' type='chat' "
    "id='ktx72v49' xml:lang='en'><body>Art thou not Romeo, and a Montague? Neither, fair "
    "saint</body><thread>e0ffe42b28561960c6b12b944a0927</thread>"
    "<active xmlns='http://jabber.org/protocol/chatstates'/></message>";

const std::string kDocument =
    "<?xml version='1.0' encoding='UTF-8'?><presence xmlns='urn:ietf:params:xml:ns:pidf' "
    "xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' "
    "xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' entity='pres:romeo@sip.example.net'>"
    "<dm:person id='p1'><rpid:activities><rpid:busy/></rpid:activities></dm:person>"
    "<tuple id='ID-orchard'><status><basic>open</basic></status>"
    "<contact priority='0.8'>sip:romeo@sip.example.net</contact><note>Wooing</note>"
    "<timestamp>2026-01-01T12:00:00Z</timestamp></tuple></presence>";

void BM_JidToUri(benchmark::State& state) {
    char memory[1'024];
    bench::loop(state, [&] {
        Address address;
        if (!read_jid("juliet@im.example.com/balcony", address)) state.SkipWithError("refused");
        Sink uri{MutableBytes(memory)};
        write_sender_uri(address, uri);
        benchmark::DoNotOptimize(uri.written().data());
    });
}
BENCHMARK(BM_JidToUri);

void BM_UriToJid(benchmark::State& state) {
    bench::loop(state, [&] {
        const auto uri = sip::parse_uri("sip:romeo@sip.example.net;gr=orchard");
        Address address;
        if (!uri || read_uri(*uri, address) != AddressFault::kNone) state.SkipWithError("refused");
        benchmark::DoNotOptimize(address.jid.local.data());
    });
}
BENCHMARK(BM_UriToJid);

void BM_StanzaText(benchmark::State& state) {
    const xml::StreamScope scope;
    char memory[4'096];
    bench::loop(state, [&] {
        Sink sink{MutableBytes(memory)};
        const StanzaText read = read_stanza(xml::parse_stanza(kChat, scope), 65'536, sink);
        if (read.use != StanzaUse::kSend) state.SkipWithError("not sent");
        benchmark::DoNotOptimize(read.text.body.data());
    });
}
BENCHMARK(BM_StanzaText);

void BM_ReadPidf(benchmark::State& state) {
    xml::Document tree;
    Document document;
    std::vector<char> memory(2 * kDocument.size());
    bench::loop(state, [&] {
        Sink sink{MutableBytes(memory)};
        if (read_pidf(kDocument, tree, document, sink) != PidfVerdict::kRead)
            state.SkipWithError("not read");
        benchmark::DoNotOptimize(document.count);
    });
}
BENCHMARK(BM_ReadPidf);

void BM_WritePidf(benchmark::State& state) {
    Presence presence;
    presence.resource = "balcony";
    presence.available = true;
    presence.show = Show::kAway;
    presence.add_note({"en", "Wherefore art thou?"});
    char memory[4'096];
    bench::loop(state, [&] {
        Sink sink{MutableBytes(memory)};
        write_pidf("sip:juliet@im.example.com", std::span(&presence, 1), true, sink);
        benchmark::DoNotOptimize(sink.written().data());
    });
}
BENCHMARK(BM_WritePidf);

}  // namespace
}  // namespace fedgate::gateway

BENCHMARK_MAIN();
