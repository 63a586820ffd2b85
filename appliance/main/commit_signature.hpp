// Who has made a commit: lines behind its published text, by tls.internal.key and with the
// certificates that tell whose that is. README.md of the link tells the format. Thread: the control
// thread.
#pragma once

#include <string>

#include "appliance/admin/host.hpp"
#include "core/rules/snapshot.hpp"
#include "net/certificate.hpp"

namespace fedgate {

// `name`: that is told, if the certificate has it, else its first one. Empty: `why` is a sentence
// without a full stop.
[[nodiscard]] std::string sign_commit(Bytes published, const rules::TlsFiles&,
                                      const std::string& name, std::string& why);

struct CommitTerms {
    const net::TrustStore* roots = nullptr;         // null: nobody is good
    const net::RevocationLists* revoked = nullptr;  // null: none
    WallTime now{};
};
// `time`: of the commit; the certificates must have been good then, and not be expired by now, but
// for a day that a clock may be wrong. What is revoked by now is not good.
[[nodiscard]] admin::Signer judge_commit(Bytes published, Bytes proof, WallTime time,
                                         const CommitTerms&);

}  // namespace fedgate
