// XML namespaces of which several files speak.
#pragma once

#include "core/base/bytes.hpp"

namespace fedgate::gateway {

constexpr Bytes kDelay = "urn:xmpp:delay";                         // XEP-0203
constexpr Bytes kXhtmlIm = "http://jabber.org/protocol/xhtml-im";  // XEP-0071

}  // namespace fedgate::gateway
