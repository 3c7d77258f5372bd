<?php
// Get a URL with PHP's curl and print all that came back.
$curl = curl_init($argv[1]);
curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_HEADER => true, CURLOPT_FAILONERROR => true]);
$answer = curl_exec($curl);
if ($answer === false) {
    fwrite(STDERR, curl_error($curl) . "\n");
    exit(1);
}
echo $answer;
