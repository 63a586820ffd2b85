// The appliance itself as one encrypted file, as fedctl backup makes and fedctl restore reads it.
// It is asked for in the folder backup of the EFI system partition:
//
//   NAME.pem          a certificate: NAME.backup is written, which only its private key opens
//   NAME.key          that key: NAME.backup is restored at this start
//   NAME.passphrase   the same, of a backup that was made with a passphrase
//
// What opens one is overwritten and removed as soon as it was tried, whatever became of it. The
// console says what was done, or why not.
#pragma once

#include <functional>

namespace appliance {

// Before fedgated starts. All of it is tried aside; one that is not good changes nothing. A start
// that is ended meanwhile is repeated by the next: what opens it goes last. restored: is called
// before that.
void restore_if_asked(const std::function<void()>& restored);

// When fedgated has started. One that can't be written leaves its certificate there.
void write_backups();

}  // namespace appliance
