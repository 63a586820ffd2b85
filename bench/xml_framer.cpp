// Framing and routing view of a chat stanza of 300 bytes, its pieces, and long runs of text.
#include <string>

#include "bench/allocations.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"

namespace fedgate::xml {
namespace {

const std::string kHeader =
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    "from='im.example.com' to='sip.example.net' version='1.0'>";

const std::string kChat =
    "<message from='juliet@im.example.com/balcony' to='romeo@sip.example.net' type='chat' "
    "id='ktx72v49' xml:lang='en'><body>Art thou not Romeo, and a Montague? Neither, fair "
    "saint</body>"
    "<thread>e0ffe42b28561960c6b12b944a0927</thread>"
    "<active xmlns='http://jabber.org/protocol/chatstates'/></message>";

std::string long_message(std::size_t size) {
    return "<message from='a@im.example.com' to='b@sip.example.net'><body>" +
           std::string(size, 'x') + "</body></message>";
}

void open(Framer& framer) {
    Frame frame;
    if (framer.next(kHeader, frame) != FrameStatus::kDone) std::abort();
}

// As they come in one read: a frame is seldom the last in the buffer.
void frame_all(benchmark::State& state, const std::string& stanza, bool view) {
    constexpr std::size_t kCount = 16;
    std::string buffer;
    for (std::size_t i = 0; i < kCount; ++i) buffer += stanza;
    Framer framer;
    open(framer);
    bench::loop(state, [&] {
        Bytes rest = buffer;
        Frame frame;
        while (framer.next(rest, frame) == FrameStatus::kDone) {
            if (view) {
                const Stanza seen = parse_stanza(frame.bytes, framer.scope());
                benchmark::DoNotOptimize(seen);
            }
            rest.remove_prefix(frame.consumed);
        }
        if (!rest.empty()) std::abort();
    });
    const auto stanzas = static_cast<std::int64_t>(state.iterations() * kCount);
    state.SetItemsProcessed(stanzas);
    state.SetBytesProcessed(stanzas * static_cast<std::int64_t>(stanza.size()));
    state.counters["per_stanza"] = benchmark::Counter(
        static_cast<double>(stanzas), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void frame_chat(benchmark::State& state) { frame_all(state, kChat, false); }
void frame_and_view_chat(benchmark::State& state) { frame_all(state, kChat, true); }
void frame_long(benchmark::State& state) {
    frame_all(state, long_message(static_cast<std::size_t>(state.range(0))), false);
}
BENCHMARK(frame_chat);
BENCHMARK(frame_and_view_chat);
BENCHMARK(frame_long)->Arg(256)->Arg(1'024)->Arg(16'384);

void view_chat(benchmark::State& state) {
    Framer framer;
    open(framer);
    bench::loop(state, [&] {
        const Stanza seen = parse_stanza(kChat, framer.scope());
        benchmark::DoNotOptimize(seen);
    });
}
BENCHMARK(view_chat);

void read_body(benchmark::State& state) {
    Framer framer;
    open(framer);
    const Stanza stanza = parse_stanza(kChat, framer.scope());
    char memory[512];
    bench::loop(state, [&] {
        Sink sink{MutableBytes(memory)};
        stanza.root.child("body", kServerNamespace).text(sink);
        benchmark::DoNotOptimize(memory);
    });
}
BENCHMARK(read_body);

// What the blocks are worth: bytes in a run -> time.
template <FindSpecial (*kChoose)()>
void search(benchmark::State& state) {
    const FindSpecial find = kChoose();
    const std::string text(static_cast<std::size_t>(state.range(0)), 'x');
    bench::loop(state, [&] {
        benchmark::DoNotOptimize(find(text.data(), text.data() + text.size(), '<', '&', '>'));
    });
}
FindSpecial bytewise() { return find_special_bytewise; }
FindSpecial best() { return resolve_find_special(); }
BENCHMARK(search<bytewise>)->Arg(16)->Arg(64)->Arg(1'024);
BENCHMARK(search<best>)->Arg(16)->Arg(64)->Arg(1'024);
#if defined(__SSE2__)
FindSpecial sse2() { return find_special_sse2; }
BENCHMARK(search<sse2>)->Arg(16)->Arg(64)->Arg(1'024);
#endif

}  // namespace
}  // namespace fedgate::xml

BENCHMARK_MAIN();
