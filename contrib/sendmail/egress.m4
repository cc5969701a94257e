dnl For /etc/mail/sendmail.mc of Sendmail 8.17, below the lines of segel.m4: a listener where mail of our own leaves, for servers of ours
dnl that do not log in. Role egress looks at each message once more: clear text to whom only encrypted mail may go, and unsealed
dnl mail under your own domains, is refused; nothing is changed. F=T: while the filter is away, clients get 451 and keep their mail.
dnl Instead of 127.0.0.1 this machine's address in your inner network, its servers in the access map (Connect:10.0.0.5 RELAY): never the
dnl address that the Internet reaches.
dnl E refuses ETRN, A offers no logins, C leaves the names in addresses as they are.
MAIL_FILTER(`segel-egress', `S=local:/run/segel/egress/milter.sock, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl
DAEMON_OPTIONS(`Addr=127.0.0.1, Port=10031, Name=EGRESS, M=EAC, InputMailFilters=segel-egress')dnl
