#include "bench/load/reflect.hpp"

#include "bench/load/input_end.hpp"

namespace fedgate::load {

int Reflect::run() {
    if (!ends_.set_up(*this, {})) return 1;
    const InputEnd input(ends_.loop());
    if (input.over()) return 1;
    while (!input.over()) ends_.turn(100ms);
    return 0;
}

bool Reflect::take_stanza(const link::FromPartner& from) {
    const xml::StreamScope scope;
    const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
    bool taken = true;
    if (ends_.answered(stanza, taken)) return taken;
    const std::size_t tag_end = from.stanza.find('>');
    if (stanza.kind != xml::StanzaKind::kMessage || stanza.type == "error" ||
        tag_end == Bytes::npos) {
        return true;
    }
    Sink sink(memory_);
    for (const Bytes part :
         {Bytes("<message from='"), stanza.to, Bytes("' to='"), stanza.from,
          Bytes("' type='chat' id='"), stanza.id, Bytes("'"), from.stanza.substr(tag_end)}) {
        sink.append(part);
    }
    const Bytes our = stanza.to.substr(stanza.to.find('@') + 1);
    return sink.overflowed() || ends_.send_stanza(0, our.substr(0, our.find('/')), sink.written());
}

}  // namespace fedgate::load
