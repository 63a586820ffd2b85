// What sockets ask of the kernel, which gives no more than its own settings allow (fedctl kernel).
#pragma once

namespace fedgate {

constexpr int kListenBacklog = 4'096;         // connections that wait to be accepted, of a listener
constexpr int kDatagramQueueBytes = 4 << 20;  // that wait to be read, of a datagram socket

}  // namespace fedgate
