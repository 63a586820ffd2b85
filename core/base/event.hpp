// The catalogue of events: everything that the product ever logs, with a stable id, how severe it
// is, what it means, its cause and its remedy, in English and in French. An id is never given to
// another event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "core/base/bytes.hpp"

namespace fedgate {

enum class Severity : std::uint8_t { kDebug, kInfo, kWarning, kError };

constexpr Bytes severity_name(Severity severity) {
    constexpr Bytes kNames[] = {"debug", "info", "warning", "error"};
    return kNames[static_cast<std::size_t>(severity)];
}

enum class Language : std::uint8_t { kEnglish, kFrench };

// The rows of kEvents are in this order.
enum class EventId : std::uint16_t {
    kStarted,
    kReady,
    kStopping,
    kStopped,
    kStartFailed,
    kSelfSigned,
    kLinesDropped,
    kFenceFailed,
    kConfigLoaded,
    kConfigRefused,
    kConfigChanged,
    kFederationOff,
    kCommitTaken,
    kCommitRefused,
    kCommitNotUsable,
    kCommitGaveWay,
    kCommitTakenBack,
    kDialbackSecretTaken,
    kSettingsTakenBack,
    kListening,
    kListenFailed,
    kConnectionLimit,
    kTlsFailed,
    kCertificateRefused,
    kCertificateExpires,
    kCertificateLoadFailed,
    kCertificateLoaded,
    kRevocationListOld,
    kCertificateNames,
    kPartnerCertificateExpires,
    kStreamEstablished,
    kStreamClosed,
    kStreamErrorSent,
    kStreamErrorReceived,
    kStreamTimeout,
    kPartnerDenied,
    kPartnerUnreachable,
    kPartnerTlsRequired,
    kSaslRefused,
    kDialbackRefused,
    kDialbackFailed,
    kStanzaInDoubt,
    kDnsFailed,
    kAnswerLost,
    kPartnerLost,
    kPartnerBack,
    kSipPeerRefused,
    kSipMalformed,
    kSipNextHopDown,
    kSipNextHopUp,
    kSipTimeout,
    kMapDropped,
    kPolicyRefused,
    kRateLimited,
    kQueueFull,
    kNotifyTooLarge,
    kLinkUp,
    kLinkDown,
    kLinkRefused,
    kRouteMoved,
    kCutOff,
    kNotCutOff,
    kAdminCommand,
    kAdminRefused,
    kTraceStarted,
    kTraceEnded,
    kTestFailed,
    kTestPassed,
    kStoreFailed,
    kStoreHealed,
    kStoreDamaged,
    kStoreRestored,
    kStoreShares,
    kCount_,
};

constexpr std::size_t kEventCount = static_cast<std::size_t>(EventId::kCount_);

struct EventText {
    Bytes sentence;
    Bytes cause;
    Bytes remedy;
};

struct EventInfo {
    EventId id;
    std::uint16_t number;  // FG-<number>
    Severity severity;
    EventText english;
    EventText french;
};

// clang-format off
inline constexpr EventInfo kEvents[] = {
    // 10xx: the daemon
    {EventId::kStarted, 1001, Severity::kInfo,
     {"Fedgate starts", "The daemon was started.", "None."},
     {"Fedgate démarre", "Le service a été lancé.", "Aucune action."}},
    {EventId::kReady, 1002, Severity::kInfo,
     {"Fedgate is ready", "All listeners are open.", "None."},
     {"Fedgate est prêt", "Tous les ports d'écoute sont ouverts.", "Aucune action."}},
    {EventId::kStopping, 1003, Severity::kInfo,
     {"Fedgate stops: streams are drained", "The daemon was asked to stop.", "None."},
     {"Fedgate s'arrête : les flux sont vidés", "L'arrêt a été demandé.", "Aucune action."}},
    {EventId::kStopped, 1004, Severity::kInfo,
     {"Fedgate has stopped", "All streams are closed.", "None."},
     {"Fedgate est arrêté", "Tous les flux sont fermés.", "Aucune action."}},
    {EventId::kStartFailed, 1005, Severity::kError,
     {"Fedgate can't start", "A resource it needs is not available; see where and error.", "Correct what the line names and start again."},
     {"Fedgate ne peut pas démarrer", "Une ressource nécessaire manque ; voir where et error.", "Corriger ce que la ligne indique, puis relancer."}},
    {EventId::kSelfSigned, 1006, Severity::kWarning,
     {"A self-signed certificate is in use", "No certificate is configured.", "Set tls.external.certificate and tls.external.key."},
     {"Un certificat auto-signé est utilisé", "Aucun certificat n'est configuré.", "Définir tls.external.certificate et tls.external.key."}},
    {EventId::kLinesDropped, 1008, Severity::kWarning,
     {"Log lines were dropped", "More was logged than the log ring holds.", "Find the flood by its event ids; raise log.level."},
     {"Des lignes de journal ont été perdues", "Le tampon du journal était plein.", "Trouver l'événement en excès ; relever log.level."}},
    {EventId::kFenceFailed, 1009, Severity::kError,
     {"Fedgate can't give up what it has no need of", "The kernel refused to restrict a ring, or the system calls; see error.", "Linux 6.1 or later with seccomp is needed, and a sandbox round Fedgate must let it call seccomp and io_uring_register; fedgated --sandbox-selftest tries it."},
     {"Fedgate ne peut pas renoncer à ce dont il n'a pas besoin", "Le noyau a refusé de restreindre un anneau ou les appels système ; voir error.", "Il faut Linux 6.1 ou plus récent avec seccomp, et un bac à sable qui permet seccomp et io_uring_register ; fedgated --sandbox-selftest l'essaie."}},
    // 11xx: configuration
    {EventId::kConfigLoaded, 1101, Severity::kInfo,
     {"The configuration was loaded", "Start or reload.", "None."},
     {"La configuration est chargée", "Démarrage ou rechargement.", "Aucune action."}},
    {EventId::kConfigRefused, 1102, Severity::kError,
     {"The configuration was refused", "A key or value is not valid.", "Correct the file and line that are named; fedctl config check tells more."},
     {"La configuration est refusée", "Une clé ou une valeur n'est pas valide.", "Corriger le fichier et la ligne indiqués ; voir fedctl config check."}},
    {EventId::kConfigChanged, 1103, Severity::kInfo,
     {"The configuration was changed", "An administrator's commit.", "None; fedctl config log shows the history."},
     {"La configuration a changé", "Validation par un administrateur.", "Aucune action ; fedctl config log montre l'historique."}},
    {EventId::kFederationOff, 1104, Severity::kWarning,
     {"Federation is off: nothing passes", "federation.allow = no.", "Set federation.allow = yes."},
     {"La fédération est coupée : rien ne passe", "federation.allow = no.", "Définir federation.allow = yes."}},
    {EventId::kCommitTaken, 1105, Severity::kInfo,
     {"A commit of the pool is in force here", "It was made at another node, or by this one because the one before was not confirmed.", "None; fedctl config log shows it."},
     {"Une validation du groupe est en vigueur ici", "Elle vient d'un autre nœud, ou de celui-ci faute de confirmation de la précédente.", "Aucune action ; fedctl config log la montre."}},
    {EventId::kCommitRefused, 1106, Severity::kWarning,
     {"What a node has sent for the pool is not taken here", "It was damaged, or nobody has signed it who may: its certificate is not good here, or it is an edge's.", "See peer and error. If it is good, correct certificates, clock or pools here: it comes again by itself. Else look after that node."},
     {"Ce qu'un nœud a envoyé pour le groupe est refusé ici", "C'est abîmé, ou n'est signé par personne qui en ait le droit : son certificat n'est pas bon ici, ou c'est celui d'une bordure.", "Voir peer et error. Si c'est bon, corriger ici certificats, horloge ou groupes : cela revient tout seul. Sinon examiner ce nœud."}},
    {EventId::kCommitNotUsable, 1107, Severity::kError,
     {"A commit of the pool can't be used here; what was in force stays", "A file that it names is not on this machine, or this version does not know what it sets.", "Correct what error names; then fedctl reload. Others have it in force."},
     {"Une validation du groupe est inutilisable ici ; ce qui était en vigueur le reste", "Un fichier qu'elle nomme manque sur cette machine, ou cette version ne connaît pas ce qu'elle règle.", "Corriger ce que error indique, puis fedctl reload. Les autres l'appliquent."}},
    {EventId::kCommitGaveWay, 1108, Severity::kWarning,
     {"A commit gave way to another one", "Both were made while their nodes could not reach each other.", "What it changed is in the file named kept: fedctl config check FILE shows it, fedctl config commit FILE repeats it."},
     {"Une validation a cédé devant une autre", "Les deux ont été faites pendant que leurs nœuds étaient séparés.", "Ses changements sont dans le fichier kept : fedctl config check FICHIER les montre, fedctl config commit FICHIER les refait."}},
    {EventId::kCommitTakenBack, 1109, Severity::kWarning,
     {"A commit was not confirmed and is taken back", "fedctl config confirm was not said in time.", "Commit it again, and confirm it."},
     {"Une validation non confirmée est annulée", "fedctl config confirm n'est pas venu à temps.", "La refaire et la confirmer."}},
    {EventId::kDialbackSecretTaken, 1110, Severity::kInfo,
     {"The pool's dialback secret is in use here", "Another node's is older than the one that was here.", "None."},
     {"Le secret dialback du groupe est utilisé ici", "Celui d'un autre nœud est plus ancien que celui d'ici.", "Aucune action."}},
    {EventId::kSettingsTakenBack, 1111, Severity::kWarning,
     {"What was set live was not confirmed and is taken back", "fedctl sysctl confirm was not said in time.", "Set it again, and confirm it; if error is set, see there."},
     {"Ce qui avait été réglé à chaud, non confirmé, est annulé", "fedctl sysctl confirm n'est pas venu à temps.", "Le régler de nouveau et confirmer ; si error est présent, le lire."}},
    // 12xx: network
    {EventId::kListening, 1201, Severity::kInfo,
     {"A port is open", "As configured.", "None."},
     {"Un port est ouvert", "Selon la configuration.", "Aucune action."}},
    {EventId::kListenFailed, 1202, Severity::kError,
     {"A port can't be opened", "The address is in use, or not one of this machine.", "Stop the other program, or correct the listen key."},
     {"Un port ne peut pas être ouvert", "L'adresse est occupée ou n'est pas celle de cette machine.", "Arrêter l'autre programme ou corriger la clé listen."}},
    {EventId::kConnectionLimit, 1204, Severity::kWarning,
     {"A connection was refused: limit reached", "As many connections as allowed are open.", "Raise the limit that is named, if this is legitimate traffic."},
     {"Une connexion est refusée : limite atteinte", "Le nombre de connexions permis est atteint.", "Relever la limite indiquée si le trafic est légitime."}},
    // 13xx: TLS and certificates
    {EventId::kTlsFailed, 1301, Severity::kWarning,
     {"A TLS handshake failed", "The peer offers nothing that we accept, or broke off.", "Compare TLS versions with the partner; fedctl partner show DOMAIN."},
     {"Une négociation TLS a échoué", "Le pair ne propose rien d'acceptable ou a coupé.", "Comparer les versions TLS avec le partenaire ; fedctl partner show DOMAINE."}},
    {EventId::kCertificateRefused, 1302, Severity::kWarning,
     {"A peer's certificate was refused", "Its chain or its names don't prove who it is.", "The partner must present a valid certificate, or allow dialback for it."},
     {"Le certificat d'un pair est refusé", "Sa chaîne ou ses noms ne prouvent pas son identité.", "Le partenaire doit présenter un certificat valide, ou autoriser dialback."}},
    {EventId::kCertificateExpires, 1303, Severity::kWarning,
     {"A certificate of ours expires soon, or has expired", "Its end is near, or past.", "Renew it and put the new file in its place; it is read by itself."},
     {"Un de nos certificats expire bientôt ou a expiré", "Sa fin de validité approche ou est passée.", "Le renouveler et remplacer le fichier ; il est relu tout seul."}},
    {EventId::kCertificateLoadFailed, 1304, Severity::kError,
     {"A certificate or key can't be used", "The file is missing, unreadable, or key and certificate don't match.", "Correct the path or the files."},
     {"Un certificat ou une clé est inutilisable", "Fichier absent, illisible, ou clé et certificat discordants.", "Corriger le chemin ou les fichiers."}},
    {EventId::kCertificateLoaded, 1305, Severity::kInfo,
     {"Certificates were read again", "A file has changed; new connections use it, streams go on.", "None."},
     {"Les certificats ont été relus", "Un fichier a changé ; les nouvelles connexions l'utilisent, les flux continuent.", "Aucune action."}},
    {EventId::kRevocationListOld, 1306, Severity::kWarning,
     {"A revocation list is out of date", "Its next update is due and was not put in its place.", "Fetch it anew; tls.external.crl names the files."},
     {"Une liste de révocation est périmée", "Sa mise à jour est due et n'a pas été installée.", "La récupérer ; tls.external.crl nomme les fichiers."}},
    {EventId::kCertificateNames, 1307, Severity::kWarning,
     {"Our certificate does not name a domain of ours", "tls.external.certificate is for other names.", "Get one with this domain among its dNSNames; until then only dialback proves it."},
     {"Notre certificat ne nomme pas un de nos domaines", "tls.external.certificate porte d'autres noms.", "En obtenir un avec ce domaine ; d'ici là, seul dialback le prouve."}},
    {EventId::kPartnerCertificateExpires, 1308, Severity::kWarning,
     {"A partner's certificate expires soon, or has expired", "The one that it showed in a stream ends.", "Tell its administrator to renew it: without it no new stream is proved by certificate."},
     {"Le certificat d'un partenaire expire bientôt ou a expiré", "Celui qu'il a montré dans un flux arrive à sa fin.", "Prévenir son administrateur : sans lui, aucun nouveau flux n'est prouvé par certificat."}},
    // 20xx: XMPP streams
    {EventId::kStreamEstablished, 2001, Severity::kInfo,
     {"A stream with a partner is established", "The peer proved its domain.", "None."},
     {"Un flux avec un partenaire est établi", "Le pair a prouvé son domaine.", "Aucune action."}},
    {EventId::kStreamClosed, 2002, Severity::kInfo,
     {"A stream with a partner is closed", "One side closed it, or it was idle.", "None."},
     {"Un flux avec un partenaire est fermé", "Fermeture par un côté, ou inactivité.", "Aucune action."}},
    {EventId::kStreamErrorSent, 2003, Severity::kWarning,
     {"A stream was ended with an error", "The peer did what its protocol or our limits don't allow.", "See condition; tell the partner."},
     {"Un flux a été terminé par une erreur", "Le pair a violé le protocole ou nos limites.", "Voir condition ; prévenir le partenaire."}},
    {EventId::kStreamErrorReceived, 2004, Severity::kWarning,
     {"A partner ended a stream with an error", "The partner's server refuses what we sent.", "See condition; ask the partner's administrator."},
     {"Un partenaire a terminé un flux par une erreur", "Son serveur refuse ce que nous envoyons.", "Voir condition ; demander à son administrateur."}},
    {EventId::kStreamTimeout, 2005, Severity::kWarning,
     {"A stream was not established in time", "The peer does not answer.", "fedctl partner show DOMAIN."},
     {"Un flux n'a pas été établi à temps", "Le pair ne répond pas.", "fedctl partner show DOMAINE."}},
    {EventId::kPartnerDenied, 2006, Severity::kWarning,
     {"A domain that is not a partner was refused", "It is not listed, or not enabled.", "fedctl partner add DOMAIN, if it is wanted."},
     {"Un domaine non partenaire est refusé", "Il n'est pas déclaré ou pas activé.", "fedctl partner add DOMAINE, si c'est voulu."}},
    {EventId::kPartnerUnreachable, 2007, Severity::kWarning,
     {"A partner can't be reached", "DNS, network, or its server is down.", "fedctl partner show DOMAIN."},
     {"Un partenaire est injoignable", "DNS, réseau, ou serveur arrêté.", "fedctl partner show DOMAINE."}},
    {EventId::kPartnerTlsRequired, 2008, Severity::kWarning,
     {"A partner offers no TLS although it is required", "Its server has no TLS.", "The partner enables TLS, or set partner/DOMAIN/tls."},
     {"Un partenaire n'offre pas TLS alors qu'il est exigé", "Son serveur n'a pas TLS.", "Activer TLS chez le partenaire, ou définir partner/DOMAINE/tls."}},
    {EventId::kSaslRefused, 2009, Severity::kWarning,
     {"SASL EXTERNAL was refused", "The certificate does not prove the domain.", "Compare the names in the certificate with the domain."},
     {"SASL EXTERNAL est refusé", "Le certificat ne prouve pas le domaine.", "Comparer les noms du certificat avec le domaine."}},
    {EventId::kDialbackRefused, 2010, Severity::kWarning,
     {"A dialback key was refused", "The domain's own server does not know the key.", "Somebody may pretend to be that domain; else check its DNS."},
     {"Une clé dialback est refusée", "Le serveur du domaine ne reconnaît pas la clé.", "Usurpation possible ; sinon vérifier son DNS."}},
    {EventId::kDialbackFailed, 2011, Severity::kWarning,
     {"Dialback could not be done", "The domain's server can't be reached.", "fedctl partner show DOMAIN."},
     {"Dialback n'a pas abouti", "Le serveur du domaine est injoignable.", "fedctl partner show DOMAINE."}},
    {EventId::kStanzaInDoubt, 2013, Severity::kWarning,
     {"Stanzas are in doubt", "A stream broke after they were written, and its session could not be resumed.", "Their senders were told."},
     {"Des strophes sont en doute", "Un flux s'est rompu après leur écriture, et sa session n'a pas pu être reprise.", "Les expéditeurs ont été prévenus."}},
    {EventId::kDnsFailed, 2014, Severity::kWarning,
     {"A name could not be resolved", "The name servers don't answer, or not validly.", "Check net.dns.servers, and the partner's zone."},
     {"Un nom n'a pas pu être résolu", "Les serveurs DNS ne répondent pas, ou pas valablement.", "Vérifier net.dns.servers et la zone du partenaire."}},
    {EventId::kAnswerLost, 2015, Severity::kWarning,
     {"An answer of ours was lost", "The partner can't be reached, or does not read what it has asked for.", "fedctl partner show DOMAIN."},
     {"Une de nos réponses est perdue", "Le partenaire est injoignable, ou ne lit pas ce qu'il a demandé.", "fedctl partner show DOMAINE."}},
    {EventId::kPartnerLost, 2016, Severity::kWarning,
     {"Who watches a partner's contacts is told that it can't be reached", "See why.", "fedctl partner show DOMAIN."},
     {"Ceux qui suivent les contacts d'un partenaire apprennent qu'il est injoignable", "Voir why.", "fedctl partner show DOMAINE."}},
    {EventId::kPartnerBack, 2017, Severity::kInfo,
     {"The partner can be reached again; its contacts are asked how they are", "It is up.", "None."},
     {"Le partenaire est de nouveau joignable ; ses contacts sont interrogés", "Il est en service.", "Aucune."}},
    // 30xx: SIP
    {EventId::kSipPeerRefused, 3001, Severity::kWarning,
     {"A SIP peer was refused", "It is neither trusted by address nor by certificate.", "Add it to sip.trusted, if it is yours."},
     {"Un pair SIP est refusé", "Ni son adresse ni son certificat ne sont admis.", "L'ajouter à sip.trusted s'il est à vous."}},
    {EventId::kSipMalformed, 3002, Severity::kWarning,
     {"A SIP message was malformed", "The peer sends what RFC 3261 does not allow.", "Tell the maker of the peer."},
     {"Un message SIP est mal formé", "Le pair envoie ce que la RFC 3261 interdit.", "Prévenir le fabricant du pair."}},
    {EventId::kSipNextHopDown, 3003, Severity::kError,
     {"A SIP next hop is down", "It does not answer.", "Check that server; traffic goes to the next one of the list."},
     {"Un prochain saut SIP est hors service", "Il ne répond pas.", "Vérifier ce serveur ; le trafic passe au suivant."}},
    {EventId::kSipNextHopUp, 3004, Severity::kInfo,
     {"A SIP next hop is up again", "It answers.", "None."},
     {"Un prochain saut SIP est de retour", "Il répond.", "Aucune action."}},
    {EventId::kSipTimeout, 3005, Severity::kWarning,
     {"A SIP request was not answered", "The next hop or the user agent is silent.", "Check the next hop."},
     {"Une requête SIP est restée sans réponse", "Le prochain saut ou l'agent est muet.", "Vérifier le prochain saut."}},
    // 40xx: mapping, policy, limits
    {EventId::kMapDropped, 4001, Severity::kDebug,
     {"Something has no equivalent on the other side", "A stanza or request of a kind that is not mapped.", "None."},
     {"Un élément n'a pas d'équivalent de l'autre côté", "Strophe ou requête d'un type non traduit.", "Aucune action."}},
    {EventId::kPolicyRefused, 4002, Severity::kInfo,
     {"Policy does not let a message pass", "A rule denies this pair.", "fedctl explain FROM TO names the rule."},
     {"La politique bloque un message", "Une règle interdit cette paire.", "fedctl explain DE VERS nomme la règle."}},
    {EventId::kRateLimited, 4003, Severity::kWarning,
     {"A rate limit holds traffic back", "More came than the limit that is named allows.", "Raise the limit, if this is legitimate traffic."},
     {"Une limite de débit retient du trafic", "Il en vient plus que la limite indiquée.", "Relever la limite si le trafic est légitime."}},
    {EventId::kQueueFull, 4004, Severity::kWarning,
     {"A queue is full", "The other side is slower than what comes in.", "See which queue; check that side."},
     {"Une file est pleine", "L'autre côté est plus lent que l'arrivée.", "Voir la file ; vérifier ce côté."}},
    {EventId::kNotifyTooLarge, 4005, Severity::kWarning,
     {"A SIP user's view of a contact ended: it is too long for UDP", "The contact's presence, with its notes and devices, is over 1,300 bytes, and the domain's next hops speak UDP only.", "Give the domain a next hop with transport=tcp or tls."},
     {"Un utilisateur SIP ne voit plus un contact : trop long pour UDP", "La présence du contact, avec ses notes et appareils, dépasse 1 300 octets, et les prochains sauts du domaine ne parlent qu'UDP.", "Donner au domaine un prochain saut avec transport=tcp ou tls."}},
    // 50xx: link, administration, store
    {EventId::kLinkUp, 5001, Severity::kInfo,
     {"A link between edge and gateway is up", "Connected and authenticated.", "None."},
     {"Un lien entre bordure et passerelle est actif", "Connecté et authentifié.", "Aucune action."}},
    {EventId::kLinkDown, 5002, Severity::kError,
     {"A link between edge and gateway is down", "The other machine or the network is down.", "Check the other machine; see reason."},
     {"Un lien entre bordure et passerelle est rompu", "L'autre machine ou le réseau est en panne.", "Vérifier l'autre machine ; voir reason."}},
    {EventId::kLinkRefused, 5003, Severity::kWarning,
     {"A machine was refused as the other end of a link", "Its certificate is not one of the internal authority, or of no name that is listed here.", "See reason; correct tls.internal.*, or the members of the pool, on either side."},
     {"Une machine est refusée à l'autre bout d'un lien", "Son certificat n'est pas de l'autorité interne, ou n'a aucun nom prévu ici.", "Voir reason ; corriger tls.internal.* ou les membres du groupe, d'un côté ou de l'autre."}},
    {EventId::kRouteMoved, 5004, Severity::kWarning,
     {"A site reaches partners by other edges", "Its first choice went or came back, or the route was changed.", "None if now is first; else see why in fedctl status."},
     {"Un site joint les partenaires par d'autres bordures", "Son premier choix est parti ou revenu, ou la route a changé.", "Aucune si now est first ; sinon voir la raison dans fedctl status."}},
    {EventId::kCutOff, 5005, Severity::kError,
     {"This edge has no gateway: partners are not let in", "All gateways are down, or the network to them.", "Check the gateways; see fedctl status. It opens again by itself."},
     {"Cette bordure n'a plus de passerelle : les partenaires ne sont plus admis", "Toutes les passerelles ou leur réseau sont en panne.", "Vérifier les passerelles ; voir fedctl status. La réouverture est automatique."}},
    {EventId::kNotCutOff, 5006, Severity::kInfo,
     {"This edge has a gateway again: partners are let in", "A link is up.", "None."},
     {"Cette bordure a de nouveau une passerelle : les partenaires sont admis", "Un lien est actif.", "Aucune action."}},
    {EventId::kAdminCommand, 5101, Severity::kInfo,
     {"An administrator's command", "fedctl; see user and verb.", "None."},
     {"Une commande d'administrateur", "fedctl ; voir user et verb.", "Aucune action."}},
    {EventId::kAdminRefused, 5102, Severity::kWarning,
     {"A command was refused", "The caller's role is not enough for it.", "See needs; admin.groups.* say who has which role."},
     {"Une commande est refusée", "Le rôle de l'appelant n'y suffit pas.", "Voir needs ; admin.groups.* disent qui a quel rôle."}},
    {EventId::kTraceStarted, 5111, Severity::kInfo,
     {"What passes is shown to an administrator, without bodies", "fedctl trace.", "None; it ends by itself after the time that is given."},
     {"Ce qui passe est montré à un administrateur, sans les textes", "fedctl trace.", "Aucune action ; cela cesse après la durée indiquée."}},
    {EventId::kTraceEnded, 5112, Severity::kInfo,
     {"A trace was ended before its time", "fedctl trace was interrupted, or fedctl trace --stop.", "None."},
     {"Une trace a été arrêtée avant son terme", "fedctl trace a été interrompu, ou fedctl trace --stop.", "Aucune action."}},
    {EventId::kTestFailed, 5121, Severity::kError,
     {"The scheduled test message did not come through", "See why.", "See diagnosis; fedctl test im FROM TO tries it again, fedctl doctor DOMAIN looks closer."},
     {"Le message d'essai programmé n'est pas passé", "Voir why.", "Voir diagnosis ; fedctl test im DE VERS le renvoie, fedctl doctor DOMAINE examine de plus près."}},
    {EventId::kTestPassed, 5122, Severity::kInfo,
     {"The scheduled test message comes through again", "What it had failed for is over.", "None."},
     {"Le message d'essai programmé passe de nouveau", "La cause de l'échec a disparu.", "Aucune action."}},
    {EventId::kStoreFailed, 5201, Severity::kError,
     {"The store failed", "Disk full, no permission, or file in use elsewhere; see error.", "Correct that; it heals by itself. New subscriptions are refused until then."},
     {"Le stockage a échoué", "Disque plein, droits manquants ou fichier pris ailleurs ; voir error.", "Corriger ; il se rétablit seul. Les nouveaux abonnements sont refusés d'ici là."}},
    {EventId::kStoreHealed, 5202, Severity::kInfo,
     {"The store works again", "What it had failed for is over; what waited is kept.", "None."},
     {"Le stockage fonctionne de nouveau", "La cause de la panne a disparu ; ce qui attendait est gardé.", "Aucune action."}},
    {EventId::kStoreDamaged, 5203, Severity::kError,
     {"The store was damaged, and was mended", "Disk or memory have changed or cut the file.", "What is lost must be subscribed to anew. Check disk and memory; aside is the damaged file."},
     {"Le stockage était abîmé et a été réparé", "Le disque ou la mémoire a modifié ou coupé le fichier.", "Ce qui est perdu est à redemander. Vérifier disque et mémoire ; aside est le fichier abîmé."}},
    {EventId::kStoreRestored, 5204, Severity::kInfo,
     {"Subscriptions were read from the store", "The daemon was started.", "None."},
     {"Les abonnements ont été relus", "Le service a été lancé.", "Aucune action."}},
    {EventId::kStoreShares, 5205, Severity::kInfo,
     {"Subscriptions go from node to node", "A node of the pool came, went, or is cut off from the database.", "None; if no node was stopped, see why it could not be heard."},
     {"Des abonnements changent de nœud", "Un nœud du groupe est arrivé, parti ou coupé de la base.", "Aucune action ; si aucun nœud n'a été arrêté, voir pourquoi il était muet."}},
};
// clang-format on

static_assert(std::size(kEvents) == kEventCount);
static_assert(
    [] {
        for (std::size_t i = 0; i < kEventCount; ++i) {
            if (static_cast<std::size_t>(kEvents[i].id) != i) return false;
            if (i > 0 && kEvents[i].number <= kEvents[i - 1].number) return false;
        }
        return true;
    }(),
    "rows in the order of EventId, numbers ascending");

constexpr const EventInfo& event_info(EventId id) { return kEvents[static_cast<std::size_t>(id)]; }

constexpr const EventText& event_text(EventId id, Language language) {
    const EventInfo& info = event_info(id);
    return language == Language::kFrench ? info.french : info.english;
}

}  // namespace fedgate
