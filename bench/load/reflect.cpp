#include "bench/load/reflect.hpp"

#include <unistd.h>

namespace fedgate::load {

Reflect::~Reflect() {
    if (input_) ends_.loop().close(input_, nullptr);
}

int Reflect::run() {
    if (!ends_.set_up(*this, {})) return 1;
    const auto input = ends_.loop().watch(STDIN_FILENO, *this);
    if (!input) return 1;
    input_ = *input;
    while (!over_) ends_.turn(100ms);
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

void Reflect::on_readable(Socket) {
    std::array<char, 256> memory;
    if (::read(STDIN_FILENO, memory.data(), memory.size()) > 0) return;
    over_ = true;
}

}  // namespace fedgate::load
