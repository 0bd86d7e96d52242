#!/usr/bin/perl
# A device client written from docs/protocol.md alone, in core Perl: it shows that the page is
# enough. Numbers in brackets are the sections of that page.
#   device.pl [--json] [--commands=N] HOST PORT PROJECT TOKEN STATEFILE < lines
#
# It registers if STATEFILE holds no identity, says hello, sends the lines of stdin as stream
# `app`, waits until every one is acknowledged and the hub knows how N commands ended, says gone,
# and exits 0. Plaintext: loopback only. Its spool has no limit, so it never has to cover lost
# lines; of commands it does scripts.
use strict; use warnings;
use Compress::Zlib qw(compress);
use Digest::SHA qw(hmac_sha256_hex sha256);
use Encode qw(decode encode);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(WNOHANG);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep time);

use constant { CONNACK => 2, PUBLISH => 3, PUBACK => 4, SUBACK => 9 };    # MQTT packet types
use constant { KEEP_ALIVE => 30, PATIENCE => 20, STALLED => 30, IN_FLIGHT => 8, TRIES => 8 };
use constant { MAX_LINES => 500, MAX_CHARACTERS => 32_768, MAX_MESSAGE => 16_384 };    # a batch

my ($as_json, $to_do) = ('', 0);
while (@ARGV && $ARGV[0] =~ /\A--(json|commands=(\d+))\z/) {
    shift;
    defined $2 ? $to_do = $2 : ($as_json = 1);
}
my ($host, $port, $project, $token, $state_file) = @ARGV;
die "usage: $0 [--json] [--commands=N] HOST PORT PROJECT TOKEN STATEFILE < lines\n" if @ARGV != 5;
my $json = JSON::PP->new->utf8->canonical;
umask 077;
$SIG{PIPE} = 'IGNORE';    # a broken connection is an error of the write, not our end

# ---- What survives a restart: identity, last session, position, and `spool`, the batches that
# ---- are not acknowledged; they are written down here before they are sent (4.1). `replies` are
# ---- the last words on commands that have begun, until the hub knows them (7).

my $state = { device => '', key => '', session => '', boot => 0, next => 1, spool => [],
    replies => {} };
if (open my $in, '<:raw', $state_file) {
    $state = { %$state, %{ $json->decode(join '', <$in>) } };
}

sub save {
    open my $out, '>:raw', "$state_file.new" or die "$state_file.new: $!\n";
    print {$out} $json->encode($state) and $out->flush and $out->sync and close $out
        or die "write: $!\n";
    rename "$state_file.new", $state_file or die "rename: $!\n";
}

sub random_hex {
    open my $in, '<:raw', '/dev/urandom' or die "urandom: $!\n";
    read $in, my ($random), $_[0];
    return unpack 'H*', $random;
}

# ---- MQTT 3.1.1, as much as the page needs. `n/a*` is its string: two bytes of length, bytes.

my ($socket, $buffer, $packet_id, $written_at);    # of the current connection
my ($client, $connection, $gone, %answered, @control);
my ($session, $renew_at, $sent, $progress_at) = ('', 0, 0, 0);    # of the current session
my ($known, $repeat_at, @waiting) = (0, 0);    # commands: whose end is known, and to be done

sub send_packet {
    my ($head, $body) = @_;
    my ($length, $size) = (length $body, '');
    do { $size .= chr($length & 127 | ($length > 127 ? 128 : 0)) } while $length >>= 7;
    print {$socket} chr($head), $size, $body or die "connection lost: $!\n";    # autoflushed
    $written_at = time;
}

# Act on the next packet, or wait $seconds for more of it.
sub receive {
    my ($seconds) = @_;
    send_packet(0xC0, '') if time - $written_at > KEEP_ALIVE / 2;    # PINGREQ
    my ($head, $size) = $buffer =~ /\A(.)([\x80-\xFF]{0,3}[\x00-\x7F])/s;
    my ($length, $shift) = (1 + length($size // ''), 0);
    for (unpack 'C*', $size // '') { $length += ($_ & 127) << $shift; $shift += 7 }
    if (!defined $size || length $buffer < $length) {
        IO::Select->new($socket)->can_read($seconds) or return;
        return sysread($socket, $buffer, 65_536, length $buffer) || die "connection lost\n";
    }
    my $body = substr substr($buffer, 0, $length, ''), 1 + length $size;
    my $type = ord($head) >> 4;
    if ($type == CONNACK) { $answered{connect} = ord substr $body, 1, 1 }
    elsif ($type == PUBACK) { $answered{ unpack 'n', $body } = 0 }
    elsif ($type == SUBACK) { $answered{ unpack 'n', $body } = ord substr $body, 2, 1 }
    elsif ($type == PUBLISH) {
        my ($topic, $payload) = unpack 'n/a* a*', $body;
        send_packet(0x40, substr $payload, 0, 2, '') if ord($head) & 6;    # QoS 1: PUBACK
        if ($topic eq "auth/$client/down") { push @control, $json->decode($payload) }
        elsif ($topic eq "c/$project/$client/$session/ack") { on_ack($json->decode($payload)) }
        elsif ($topic =~ m{\Ac/\Q$project/$client/$session\E/command/([\w-]+)\z}) {
            on_command($1, $json->decode($payload));
        }
    }
}

sub await {
    my ($what, $holds, $deadline) = (@_, time + PATIENCE);
    until ($holds->()) { time < $deadline or die "no $what\n"; receive(1) }
}

sub publish {
    my ($topic, $payload) = @_;
    delete $answered{ $packet_id = $packet_id % 65_535 + 1 };
    send_packet(0x32, pack 'n/a* n a*', $topic, $packet_id, $payload);
}

sub subscribe {
    my ($topic) = @_;
    delete $answered{ $packet_id = $packet_id % 65_535 + 1 };
    send_packet(0x82, pack 'n n/a* C', $packet_id, $topic, 1);
    await('SUBACK', sub { defined $answered{$packet_id} });
    die "subscription to $topic refused\n" if $answered{$packet_id} == 0x80;
}

# Connect as $name and listen to the answers (1); $previous takes over its connection (3.4).
sub connect_as {
    my ($name, $previous) = @_;
    ($client, $buffer, $packet_id, $session, $connection) = ($name, '', 0, '', random_hex(16));
    (%answered, @control) = ();
    $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => PATIENCE)
        or die "connect: $@\n";
    $gone = $json->encode({ op => 'gone', connection => $connection });
    my $flags = 0xCE;    # user name, password, will with QoS 1, clean session
    send_packet(0x10, pack 'n/a* C C n (n/a*)5', 'MQTT', 4, $flags, KEEP_ALIVE, $client,
        "auth/$client/up", $gone, $project, $previous ? "$token/$previous" : $token);
    await('CONNACK', sub { defined $answered{connect} });
    die "refused: return code $answered{connect}\n" if $answered{connect};
    subscribe("auth/$client/down");
}

# ---- Registration (2) and hello (3).

# Say something, give the answer of kind $expected. A refusal with `retry` 0 is final.
sub ask {
    my ($expected, %message) = @_;
    publish("auth/$client/up", $json->encode(\%message));
    await("answer to $message{op}", sub { @control });
    my $answer = shift @control;
    return $answer if $answer->{op} eq $expected;
    print STDERR join(' ', map { $_ // '' } $message{op}, @$answer{qw(op code detail)}), "\n";
    exit 2 if !$answer->{retry} && $answer->{code} ne 'nonce';
    sleep $answer->{retry};
    die "begin again\n";
}

# Prove to know $key: the proof covers the nonce and @$parts.
sub prove {
    my ($expected, $key, $parts, %message) = @_;
    my $nonce = ask('nonce', op => 'begin')->{nonce};
    my $proof = hmac_sha256_hex(
        join("\n", "isaax-$message{op}-1", $project, $client, $nonce, @$parts), $key);
    return ask($expected, %message, project => $project, nonce => $nonce, proof => $proof,
        agent => 'device.pl/1', system => $^O);
}

sub register {
    connect_as('new-' . random_hex(8));
    @$state{qw(device key)} =
        @{ prove('registered', sha256($token), [], op => 'register') }{qw(device key)};
    save();
    send_packet(0xE0, '');    # DISCONNECT
}

# Open a session, or renew it on the same connection.
sub hello {
    my $given = prove('session', pack('H*', $state->{key}), [$connection, $state->{session}],
        op => 'hello', connection => $connection, previous => $state->{session});
    $session = $state->{session} = $given->{session};
    $renew_at = time + 0.7 * ($given->{expires_at} - $given->{time});    # by our own clock
    my ($boot, $seq) = @{ $given->{marks}{app} // { boot => 0, seq => 0 } }{qw(boot seq)};
    my $behind = ($boot <=> $state->{boot} || $seq <=> $state->{next} - 1) > 0;
    if (!$state->{boot} || $behind) {    # a new device, or an old copy of its state: new boot (4.1)
        my ($highest) = sort { $b <=> $a } 0, map { $_->{boot} } values %{ $given->{marks} };
        @$state{qw(boot next)} = ($highest + 1, 1);
    }
    free($boot, $seq);    # and save
    subscribe("c/$project/$client/$session/#");
    ($sent, $progress_at) = (0, time);    # all of the spool goes out on the new topics
    $repeat_at = 0;
}

# ---- Batches (4) and acknowledgements (5).

# Put [microseconds, characters]... into the spool, as the bytes that are sent now and again.
sub spool {
    my @lines = @_;
    my ($boot, $first, $array) = (@$state{qw(boot next)}, pack 'Cn', 0xDC, scalar @lines);
    my $payload = $as_json
        ? $json->encode({ v => 1, boot => $boot, first => $first,
            lines => [map { { time => $_->[0], message => $_->[1] } } @lines] })
        : pack('CCnNQ>Q>', 1, 1, 0, scalar @lines, $boot, $first) . compress(join '', "\x94",
            $array, (map { pack 'CQ>', 0xCF, $_->[0] } @lines), "\x0E\xA3app",    # user.info, app
            $array, (map { pack 'CN/a*', 0xDB, encode('UTF-8', $_->[1]) } @lines));
    $state->{next} += @lines;
    push @{ $state->{spool} }, { boot => $boot, last => $state->{next} - 1, bytes => $payload };
}

sub spool_stdin {
    my ($characters, @lines) = (0);
    while (defined(my $line = <STDIN>)) {
        $line =~ s/\r?\n\z//;
        $line = substr decode('UTF-8', $line), 0, MAX_MESSAGE;    # what is not UTF-8: U+FFFD
        push @lines, [int(time * 1e6), $line];
        next if ($characters += length $line) < MAX_CHARACTERS && @lines < MAX_LINES;
        spool(splice @lines);
        $characters = 0;
    }
    spool(@lines) if @lines;
    save();
}

sub covered {    # how many batches of the spool end at or before (boot, seq)
    my ($boot, $seq) = @_;
    return scalar grep { ($_->{boot} <=> $boot || $_->{last} <=> $seq) <= 0 } @{ $state->{spool} };
}

sub free {    # (boot, seq)
    my $count = covered(@_);
    splice @{ $state->{spool} }, 0, $count;
    ($sent, $progress_at) = ($sent > $count ? $sent - $count : 0, time);
    save();
}

sub on_ack {
    my ($said) = @_;
    return if $said->{stream} ne 'app';
    return free(@$said{qw(boot seq)}) if $said->{op} eq 'ack';
    print STDERR $json->encode($said), "\n";
    $sent = covered(@$said{qw(boot seq)}) if $said->{op} eq 'resume';
    exit 3 if $said->{op} eq 'reject' && !$said->{boot};    # no ack will follow: our own error
}

# ---- Commands (7): one after the other, and each written down before it begins.

sub say_reply { publish("d/$project/$client/$session/reply/$_[0]", $json->encode($_[1])) }

sub end_command {
    my ($id, $reply) = @_;
    $state->{replies}{$id} = $reply;
    save();
    say_reply($id, $reply);
}

sub on_command {
    my ($id, $command) = @_;
    my ($op, $last) = ($command->{op}, $state->{replies}{$id});
    if ($op eq 'known') {
        delete $state->{replies}{$id};
        save();
        $known++ if $last && ($last->{error} // '') ne 'cancelled';
    }
    elsif ($last) { say_reply($id, $last) }    # it comes again
    elsif ($op eq 'cancel') {
        @waiting = grep { $_->{id} ne $id } @waiting;
        end_command($id, { status => 'refused', error => 'cancelled' });
    }
    elsif ($op ne 'do' || $command->{action}{type} ne 'script') {
        end_command($id, { status => 'refused', error => 'this client does scripts alone' });
    }
    elsif (!grep { $_->{id} eq $id } @waiting) {
        my $until = clock_gettime(CLOCK_MONOTONIC) + $command->{within};
        push @waiting, { %$command, id => $id, until => $until };
    }
}

# Do a script. The file takes its output: a pipe could be held open by what it leaves behind.
sub do_command {
    my ($one) = @_;
    my ($id, $began) = ($one->{id}, clock_gettime(CLOCK_MONOTONIC));
    return end_command($id, { status => 'refused', error => 'too late' }) if $began > $one->{until};
    $state->{replies}{$id} = { status => 'interrupted' };
    save();
    say_reply($id, { status => 'started' });
    my $shell = $one->{action}{body} =~ /\A#!/ ? '' : "#!/bin/sh\n";
    my $script = "$state_file.script";
    open my $file, '>:utf8', $script or die "$script: $!\n";
    print {$file} $shell, $one->{action}{body} and close $file or die "$script: $!\n";
    chmod 0700, $script;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgrp;
        open STDIN, '<', '/dev/null' and open STDOUT, '>', "$script.out"
            and open STDERR, '>&', \*STDOUT and exec $script;
        exit 127;
    }
    my ($over, $timed_out) = ($began + $one->{timeout}, JSON::PP::false);
    until (waitpid $pid, WNOHANG) {
        if (clock_gettime(CLOCK_MONOTONIC) > $over) { kill KILL => -$pid; $timed_out = JSON::PP::true }
        receive(0.05);
    }
    my $code = $? & 127 ? -($? & 127) : $? >> 8;
    kill KILL => -$pid;    # what it left running in its group
    open my $in, '<:raw', "$script.out" or die "$script.out: $!\n";
    read $in, my ($output), 16_384;
    end_command($id, { status => 'ended', code => $code, timed_out => $timed_out,
        output => decode('UTF-8', $output // ''), seconds => clock_gettime(CLOCK_MONOTONIC) - $began });
}

# ---- One connection after the other, until everything is acknowledged.

sub run {
    my ($previous) = @_;
    register() if !$state->{device};
    connect_as($state->{device}, $previous);
    hello();
    spool_stdin();
    while (@{ $state->{spool} } || $known < $to_do) {
        hello() if time > $renew_at;
        ($sent, $progress_at) = (0, time) if time - $progress_at > STALLED;
        while ($sent < IN_FLIGHT && $sent < @{ $state->{spool} }) {
            publish("d/$project/$client/$session/log/app", $state->{spool}[$sent++]{bytes});
        }
        if (time > $repeat_at) {    # last words, until they are known
            say_reply($_, $state->{replies}{$_}) for keys %{ $state->{replies} };
            $repeat_at = time + 20;
        }
        do_command(shift @waiting) if @waiting;
        receive(1);
    }
    publish("auth/$client/up", $gone);
    await('PUBACK', sub { defined $answered{$packet_id} });
    send_packet(0xE0, '');    # DISCONNECT
}

for my $try (0 .. TRIES) {
    eval { run($try % 2 ? '' : $state->{session}); exit 0 };
    print STDERR $@;
    sleep rand($try < 6 ? 2**$try : 60);
}
exit 1;
