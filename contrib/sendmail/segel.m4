dnl For /etc/mail/sendmail.mc of Sendmail 8.17: paste these lines above its MAILER lines, and delete there
dnl other DAEMON_OPTIONS of port 587. The tests use these very lines. README, beside this file, says more.
dnl
dnl F=T: while the filter is not there, hangs or dies, clients get 451 and keep their mail. Without
dnl F=T Sendmail takes mail as if there were no filter, unsealed and half edited.
dnl T: connect; send; wait for an answer; wait for the answer to the whole message (key agent, registry).
MAIL_FILTER(`segel', `S=local:/run/segel/submission/milter.sock, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl
dnl
dnl The submission service and no other: E refuses ETRN, a asks for a login. Not the port that receives
dnl mail from the Internet. (MAIL_FILTER, not INPUT_MAIL_FILTER: only services that name it have it.)
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Port=587, Name=MSA, M=Ea, InputMailFilters=segel')dnl
dnl
dnl Logins: not before TLS (p), not anonymous (y), and AUTH= in MAIL only from clients that logged in (A).
define(`confAUTH_OPTIONS', `A p y')dnl
define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl
TRUST_AUTH_MECH(`PLAIN LOGIN')dnl
dnl
dnl STARTTLS is offered only where key and certificate are there; the key is root's, mode 0600.
define(`confCACERT', `/etc/ssl/certs/ca-certificates.crt')dnl
define(`confCACERT_PATH', `/etc/ssl/certs')dnl
define(`confSERVER_CERT', `/etc/mail/tls/server.crt')dnl
define(`confSERVER_KEY', `/etc/mail/tls/server.key')dnl
dnl
dnl 1.5 times limits.message_size (35MiB), because a seal makes mail larger.
define(`confMAX_MESSAGE_SIZE', `55050240')dnl
