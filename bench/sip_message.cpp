// One SIP message read: a 200 response of about 400 bytes and a MESSAGE of about 600; and one
// written.
#include <array>
#include <string>
#include <vector>

#include "bench/allocations.hpp"
#include "sip/framer.hpp"
#include "sip/transaction_key.hpp"
#include "sip/writer.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

std::string crlf(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') out += '\r';
        out += c;
    }
    return out;
}

std::string ok_response() {
    return crlf(
        "SIP/2.0 200 OK\n"
        "Via: SIP/2.0/TCP "
        "gateway.sip.example:5060;branch=z9hG4bK0001000200010203040506070809abff;rport=5060\n"
        "From: <sip:juliet@xmpp.example;gr=balcony>;tag=00010002000102030405060708090a0b\n"
        "To: <sip:romeo@sip.example>;tag=b27e1a1d33761e85846fc98f5f3a7e58.2f8b\n"
        "Call-ID: 00010002aabbccddeeff00112233445566\n"
        "CSeq: 1 MESSAGE\n"
        "Server: kamailio (5.6.3 (x86_64/linux))\n"
        "Content-Length: 0\n"
        "\n");
}

std::string message_request() {
    return crlf(
               "MESSAGE sip:juliet@xmpp.example SIP/2.0\n"
               "Via: SIP/2.0/TCP "
               "proxy.sip.example;branch=z9hG4bK9c1d.5a6f0e17c2a3b4d5e6f7a8b9c0d1e2f3.0;i=7\n"
               "Via: SIP/2.0/TCP "
               "192.0.2.17:54321;received=192.0.2.17;branch=z9hG4bKnashds8;rport=54321\n"
               "Max-Forwards: 69\n"
               "From: \"Romeo M.\" <sip:romeo@sip.example;gr=orchard>;tag=49583\n"
               "To: <sip:juliet@xmpp.example>\n"
               "Call-ID: asd88asd77a@192.0.2.17\n"
               "CSeq: 4711 MESSAGE\n"
               "User-Agent: Phone 1.2.3\n"
               "Content-Type: text/plain;charset=UTF-8\n"
               "Content-Length: 90\n"
               "\n") +
           std::string(90, 'x');
}

void read(benchmark::State& state, const std::string& text) {
    std::vector<char> buffer(text.begin(), text.end());
    Framer framer(65'536);
    Message message;
    bench::loop(state, [&] {
        const Frame frame = framer.next(buffer, message);
        if (frame.kind != FrameKind::kMessage) state.SkipWithError(frame.reason);
        benchmark::DoNotOptimize(message.call_id.data());
    });
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
    state.SetLabel(std::to_string(text.size()) + " bytes");
}

void BM_ReadResponse(benchmark::State& state) { read(state, ok_response()); }
void BM_ReadMessage(benchmark::State& state) { read(state, message_request()); }
BENCHMARK(BM_ReadResponse);
BENCHMARK(BM_ReadMessage);

void BM_ReadBranch(benchmark::State& state) {
    const std::string branch = "z9hG4bK000100020000002a00010203040506070809abff";
    bench::loop(state, [&] { benchmark::DoNotOptimize(read_branch(branch)); });
}
BENCHMARK(BM_ReadBranch);

void BM_WriteMessage(benchmark::State& state) {
    std::array<char, 2'048> memory;
    RequestHead head;
    head.method = method_text(Method::kMessage);
    head.uri = "sip:romeo@sip.example";
    head.via = {Transport::kTcp,
                "gateway.sip.example",
                5060,
                "z9hG4bK0001000200010203040506070809abff",
                false,
                false};
    head.from = {"", "sip:juliet@xmpp.example;gr=balcony", "00010002000102030405060708090a0b"};
    head.to = {"", "sip:romeo@sip.example", ""};
    head.call_id = "00010002aabbccddeeff00112233445566";
    bench::loop(state, [&] {
        Sink sink(memory);
        write_request_head(sink, head);
        write_header(sink, HeaderName::kUserAgent, "Fedgate");
        write_body(sink, "text/plain;charset=UTF-8", "Art thou not Romeo, and a Montague?");
        benchmark::DoNotOptimize(memory.data());
        benchmark::ClobberMemory();
    });
}
BENCHMARK(BM_WriteMessage);

void BM_WriteResponse(benchmark::State& state) {
    const std::string text = message_request();
    std::vector<char> buffer(text.begin(), text.end());
    Message request;
    (void)read_datagram(buffer, 65'536, request);
    std::array<char, 2'048> memory;
    bench::loop(state, [&] {
        Sink sink(memory);
        write_response_head(sink, request,
                            {200, "", "00010002000102030405060708090a0b", "192.0.2.9", 5060});
        write_no_body(sink);
        benchmark::DoNotOptimize(memory.data());
        benchmark::ClobberMemory();
    });
}
BENCHMARK(BM_WriteResponse);

}  // namespace

BENCHMARK_MAIN();
