# Get a URL with Ruby's net/http and print all that came back.
require 'net/http'
answer = Net::HTTP.get_response(URI(ARGV[0]))
puts answer.to_hash, answer.body
exit answer.is_a?(Net::HTTPOK)
