// Which version of the appliance runs, and the next one. There are two slots; a version is in one
// of them, and its kernel, with the command line that names the slot's content, on the EFI system
// partition: fedgate_VERSION.efi, and while it is on trial fedgate_VERSION+LEFT-DONE.efi, as
// systemd-boot counts its tries.
#pragma once

namespace appliance {

// A version on trial is kept when Fedgate has served for some seconds. If it doesn't, the machine
// starts again, and the version is not chosen any more when its tries are spent.
int judge_trial();

// An update is a file *.fgu in the folder update of the EFI system partition, or a disk that begins
// as one. A good one goes to the other slot, and the machine starts with it; of one that is not,
// nothing is written, and the console says why.
[[noreturn]] void look_for_updates();

}  // namespace appliance
