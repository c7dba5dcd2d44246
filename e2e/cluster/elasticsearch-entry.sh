#!/bin/sh
# Entry of the image that elasticsearch-image.sh makes: settings come from the environment, as with the original.
export ES_HOME=/usr/share/elasticsearch ES_PATH_CONF=/tmp/config ES_TMPDIR=/tmp/work ES_DISTRIBUTION_TYPE=docker
export ES_JAVA_HOME=$ES_HOME/jdk JAVA=$ES_HOME/jdk/bin/java JAVA_TYPE=ES_JAVA_HOME CLI_JAVA_OPTS="-Xmx64m -XX:-UsePerfData"
# It writes into its configuration's folder, which is root's in this image.
mkdir /tmp/work
cp -r "$ES_HOME/config" /tmp/config
# Names with dots are no variables of a shell: they are read where the kernel keeps them.
set -- -Epath.logs=/tmp/logs
for setting in $(tr '\0' '\n' </proc/$$/environ); do
    case ${setting%%=*} in *.*) set -- "$@" "-E$setting" ;; esac
done
exec "$JAVA" $CLI_JAVA_OPTS -cp "$ES_HOME/lib/tools/server-launcher/*" org.elasticsearch.server.launcher.ServerLauncher "$@"
