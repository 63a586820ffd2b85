// What only the Lync dialect has (features.md A15). Here: its typing, its header fields Ms-*, and
// which device it was. Pure. All of its quirks, who says so, and where they are:
//
//   m=message 5060 sip null; x-ms-message        SESS-40  MS-SDP 3.1.5.3; sipe-im.c      sip/sdp
//   Ms-Conversation-ID, of the thread            SESS-41  MS-SIPRE; sipe-im.c            here
//   ms-text-format: the text in the INVITE       SESS-41  sipe-incoming.c    sip/ms_text_format
//   a text's msgr= (font, colour) says nothing   SESS-43  sipmsg.c           sip/ms_text_format
//   text/x-msmsgsinvite: a file or call, 488     SESS-43  sipe-im.c                         s2x
//   KeyboardActivity in INFO: typing             SESS-44  sipe-im.c                        here
//   TriggeredInvite, EndPoints, isfocus, cccp    SESS-12  MS-CONFIM; sipe-conf.c session_server
//   ms-diagnostics(-public): why it failed       SESS-45  MS-OCER 2.2.1                    here
//   REFER: 603; never a 6xx for who is away      SESS-12, ERR-30, ERR-35       requests, errors
//   ;epid= in From: which device; no ;gr=        ADDR-10  MS-SIPRE; sip-transport.c        here
//   ;opaque=user:epid:X;gruu                     ADDR-27  a trace of OCS                address
//   benotify, piggy-backed NOTIFY, categories    SESS-46  MS-SIP 3.4, MS-PRES 1.3.3: what is not
//     asked for does not come; who asks is answered without
//   PIDF has one tuple, its activity in the      PRES-13  MS-PRES 1.3.3; sipe-notify.c     pidf
//     status (RPID's first draft), entity sip:
//   PIDF of Lync: on-the-phone and the like      PRES-10  a manual of AudioCodes           pidf
//   state numbers (3500, 6500, ...)              A15      MS-PRES 1.3.3: they are in msrtc.pidf and
//     in categories, which are neither asked for nor given (R10, PRES-17, PRES-73)
//   a certificate for *.name                     SIP-31   Lync edges show it      sip_transport
#pragma once

#include <cstdint>
#include <optional>

#include "appliance/gateway/key.hpp"
#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "sip/message.hpp"
#include "xml/framer.hpp"

namespace fedgate::gateway {

// SESS-44: typing, in the body of an INFO. True: he types. Empty: it is not such a document.
constexpr Bytes kKeyboardActivityType = "application/xml";
[[nodiscard]] std::optional<bool> parse_keyboard_activity(Bytes document, xml::Framer&);
void write_keyboard_activity(bool active, Sink&);

// SESS-41: the whole header line.
void write_ms_conversation_id(const Key& of_thread, Sink&);

// ADDR-10: ";epid=" and ten digits, the same for each of his devices every time. Nothing without a
// resource.
void write_epid(Bytes resource, Sink&);

// ms-diagnostics, or what of it leaves an enterprise, ms-diagnostics-public (MS-OCER 2.2.1):
//     1034;reason="Previous hop ...";source="sip.corp.example"
struct Diagnostics {
    std::uint32_t code = 0;
    Bytes reason;  // as written, without its quotes; empty: none
    Bytes source;  // the server that says so; empty: none, as in the public one
};
[[nodiscard]] Result<Diagnostics> parse_diagnostics(Bytes value);
// Of a response, the inner one first.
[[nodiscard]] std::optional<Diagnostics> find_diagnostics(const sip::Message&);
// The whole header line of the public one, which goes to a Lync domain with a refusal.
void write_diagnostics_public(std::uint32_t code, Bytes reason, Sink&);

}  // namespace fedgate::gateway
