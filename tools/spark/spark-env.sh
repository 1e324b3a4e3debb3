# Read by each of Spark's commands in this environment (bin/load-spark-env.sh), which exports what is set here.
#
# A driver starts a tenth faster with its classes from an archive (tools/class_archive.py). Java refuses the archive where
# the class path has a folder with files in it: conf/ gives way to an empty one, and what stands in conf/ is handed over
# by name. A configuration of one's own (SPARK_CONF_DIR, HADOOP_CONF_DIR, YARN_CONF_DIR) is left alone, without an archive.
archive=$SPARK_HOME/classes.jsa
if [ "${1:-}" = org.apache.spark.deploy.SparkSubmit ] && [ -f "$archive" ] &&
    [ "$SPARK_CONF_DIR" = "$SPARK_HOME/conf" ] && [ -z "${HADOOP_CONF_DIR:-}${YARN_CONF_DIR:-}" ]; then
    options="-XX:SharedArchiveFile=\"$archive\" -Xlog:cds*=off"
    options+=" -Dlog4j2.configurationFile=\"$SPARK_CONF_DIR/log4j2.properties\""
    while read -r name value; do
        case $name in
            '' | '#'*) ;;
            spark.driver.extraJavaOptions) options+=" $value" ;;
            spark.driver.memory) SPARK_DRIVER_MEMORY=${SPARK_DRIVER_MEMORY:-$value} ;;
            *) options+=" -D$name=\"$value\"" ;;
        esac
    done <"$SPARK_CONF_DIR/spark-defaults.conf"
    SPARK_SUBMIT_OPTS="$options ${SPARK_SUBMIT_OPTS:-}"
    SPARK_CONF_DIR=$SPARK_HOME/no-conf
fi
unset archive options name value
