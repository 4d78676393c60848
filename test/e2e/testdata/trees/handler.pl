# mailer(1) with a handler that does not wait -> Z: sendmail
$0 = 'mailer';
$SIG{CHLD} = sub { };
dead 4, 'sendmail', -9;
ready 4;
stay;
