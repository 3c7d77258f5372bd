# Get a URL with LWP and print all that came back.
use strict;
use warnings;
use LWP::UserAgent;
my $answer = LWP::UserAgent->new(env_proxy => 1)->get($ARGV[0]);
print $answer->as_string;
exit !$answer->is_success;
