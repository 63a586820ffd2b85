// fedctl doctor: what the daemon knows of the way to a partner. fedctl adds what the network says.
// Control thread.
#pragma once

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// `domain`; `from`: a SIP user of ours, else any; `open`: set up a stream as well; `suppose`:
// settings (`tls=required`) that the partner does not have yet, and no stream. The answer has
// `steps`, each with `step`, `state` (`ok`, `warning`, `fault`, `skipped`), `text`, and where it is
// not well `side` (`ours`, `theirs`) and `advice`; and what the network has to be asked with.
[[nodiscard]] Json answer_doctor(const Json& request, AdminHost&, const Configuration&);

// One step; `side` empty: it is well.
[[nodiscard]] Json doctor_step(const char* step, const char* state, std::string text,
                               const char* side = "", std::string advice = {});

}  // namespace fedgate::admin
