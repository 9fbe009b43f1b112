#!/bin/sh
# Format the log folder at the first start, then run the broker.
set -eu
if [ ! -f /var/lib/kafka/log/meta.properties ]; then
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
  java -Xmx256m -cp '/opt/kafka/lib/*' kafka.tools.StorageTool format --standalone -t "$id" -c /opt/kafka/server.properties
fi
exec java -Xmx"${KAFKA_MEMORY:-1g}" -cp '/opt/kafka/lib/*' kafka.Kafka /opt/kafka/server.properties
