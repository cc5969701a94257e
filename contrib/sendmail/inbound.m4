dnl For /etc/mail/sendmail.mc of Sendmail 8.17, below the lines of segel.m4: the port that takes mail from other
dnl servers. Role inbound demands TLS of official mail and lets everything else pass as it is. The tests use
dnl these very lines. A: no logins here; who is logged in may send to anywhere, and this role seals nothing.
MAIL_FILTER(`segel-inbound', `S=local:/run/segel/inbound/milter.sock, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl
DAEMON_OPTIONS(`Port=25, Name=MTA, M=A, InputMailFilters=segel-inbound')dnl
