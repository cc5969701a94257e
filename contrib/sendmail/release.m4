dnl For /etc/mail/sendmail.mc of Sendmail 8.17, below the lines of segel.m4: where segel-reviewd hands over what reviewers
dnl release (quarantine.release_to). On the loopback interface only and without a filter, because what comes in here was verified a
dnl moment ago. Whoever reaches this port puts mail past the filter: where people or programs that you do not trust run on this machine,
dnl let a rule of its firewall close the port to all but the user segel-reviewd.
dnl E refuses ETRN, A offers no logins, S no STARTTLS, C leaves the names in addresses as they are.
DAEMON_OPTIONS(`Addr=127.0.0.1, Port=10027, Name=RELEASE, M=EASC')dnl
